// Command gate reads what go test -json prints and decides whether the tests passed.
//
// It prints one line a package, the whole output of every failed test, and a summary. A skipped test fails the gate,
// for a test that does not run proves nothing; the one exception is a skip whose message says that it needs one of the
// data sets named in needs, while the variable of that name is unset.
package main

import (
	"fmt"
	"os"
)

func main() {
	tally := newTally(os.Getenv)
	if err := tally.read(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
		os.Exit(1)
	}
	if !tally.report(os.Stdout) {
		os.Exit(1)
	}
}
