//go:build !linux

package demo

import (
	"errors"
	"syscall"
)

func orphanless() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// playable says whether the demo can be played here.
func playable() error {
	return errors.New("the demo needs Linux: its agent reads real processes from /proc")
}
