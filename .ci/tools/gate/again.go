package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// mostAgain is how many failed tests are tried again. More of them is no accident.
const mostAgain = 2

// once matches packages whose tests are never tried again: they prove what dropleak promises, on time of their own or
// with every crash expected, and red once in a hundred is red.
var once = regexp.MustCompile(`/(detector|doclient|chaos|remedy|workflow|cmd)(/|$)`)

// program matches the one package below cmd whose stories wait for real programs.
var program = regexp.MustCompile(`/cmd/dropleak$`)

// again returns a line "PACKAGE TEST" for each test that may be tried once more, alone: real programs that share two
// processors with three packages sometimes answer later than anybody waits. Nothing is tried again where anything else
// failed, or more than mostAgain tests did.
func (t *tally) again() (lines []string) {
	if t.outside || len(t.refused) > 0 {
		return nil
	}
	for _, name := range t.failed {
		pkg, test, _ := strings.Cut(name, " ")
		if once.MatchString(pkg) && !program.MatchString(pkg) {
			return nil
		}
		top, _, _ := strings.Cut(test, "/")
		if line := fmt.Sprintf("%s %s", pkg, top); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if len(lines) > mostAgain {
		return nil
	}
	return lines
}
