// Package cmd holds the programs, and the tests that hold the walls of the house: who may import whom and why, what a
// package calls itself, how long files and functions grow, and which modules are taken in.
package cmd
