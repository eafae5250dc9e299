// Command gate reads what go test -json prints and decides whether the tests passed.
//
// It prints one line a package, the whole output of every failed test, and a summary. A skipped test fails the gate,
// for a test that does not run proves nothing; the one exception is a skip whose message says that it needs one of the
// data sets named in needs, while the variable of that name is unset. With an argument it writes into the file of that
// name which failed tests may be tried again.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	tally := newTally(os.Getenv)
	if err := tally.read(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
		os.Exit(1)
	}
	if tally.report(os.Stdout) {
		return
	}
	if lines := tally.again(); len(os.Args) > 1 && len(lines) > 0 {
		if err := os.WriteFile(os.Args[1], []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "gate:", err)
		}
	}
	os.Exit(1)
}
