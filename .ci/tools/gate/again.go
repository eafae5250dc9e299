package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// mostAgain is how many failed tests are tried again. More of them is no accident.
const mostAgain = 2

// waits matches the packages that hold tests of real programs. Those of the laws, of a verdict, of the killed service
// and of the house are never tried again: red once in a hundred is red there.
var waits = regexp.MustCompile(`/(bot|bot/agent|bot/agent/manager|bot/alert|bot/restart|bot/shell|bot/slackapp|bot/source|bot/testbed|cmd/dropleak|cmd/dropleak/demo)$`)

// killed matches the stories, among those, of a service that is killed.
var killed = regexp.MustCompile(`Kill|Crash|Chaos|Twice|Once`)

// again returns a line "PACKAGE TEST" for each test that may be tried once more, alone: real programs that share two
// processors with three packages sometimes answer later than anybody waits. Nothing is tried again where anything else
// failed, or more than mostAgain tests did.
func (t *tally) again() (lines []string) {
	if t.outside || len(t.refused) > 0 {
		return nil
	}
	for _, name := range t.failed {
		pkg, test, _ := strings.Cut(name, " ")
		if !waits.MatchString(pkg) || killed.MatchString(test) {
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
