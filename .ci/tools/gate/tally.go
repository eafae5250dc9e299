package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// needs matches the message of a skip that is allowed, and captures the variable it waits for.
var needs = regexp.MustCompile(`^needs (DROPLEAK_CORPUS|DROPLEAK_OPENAPI|DROPLEAK_SLACK_RENDER)\b`)

// located matches a line that t.Log, t.Skip and their like wrote, and captures its message.
var located = regexp.MustCompile(`^\s+[\w.-]+\.go:\d+: (.*)\n?$`)

// event is one line of go test -json, as cmd/test2json documents it.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64
}

// tally is what a run of tests came to.
type tally struct {
	getenv   func(string) string
	output   map[string][]string // by package and test, until that test passes
	passed   int
	failed   []string
	why      []string // what each failed test said first
	refused  []string // skips that fail the gate
	allowed  []string // skips that do not
	slowest  []timed
	packages int
}

type timed struct {
	name    string
	elapsed time.Duration
}

func newTally(getenv func(string) string) *tally {
	return &tally{getenv: getenv, output: map[string][]string{}}
}

// read takes in every event, writing a line for each package as it ends. A line that is not an event is an error: it
// means that go test itself went wrong.
func (t *tally) read(r io.Reader, w io.Writer) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if bad := json.Unmarshal(line, &e); bad != nil {
				return fmt.Errorf("read test event %q: %w", line, bad)
			}
			t.take(e, w)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
	}
}

func (t *tally) take(e event, w io.Writer) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		t.output[key] = append(t.output[key], e.Output)
	case "build-output":
		fmt.Fprint(w, e.Output)
	case "build-fail":
		t.failed = append(t.failed, e.ImportPath+" (build)")
	case "pass", "fail", "skip":
		if e.Test == "" {
			t.endPackage(e, w)
		} else {
			t.endTest(e, key, w)
		}
		delete(t.output, key)
	}
}

func (t *tally) endPackage(e event, w io.Writer) {
	verdict := map[string]string{"pass": "ok", "fail": "FAIL", "skip": "no tests"}[e.Action]
	fmt.Fprintf(w, "%-8s %7.1fs  %s\n", verdict, e.Elapsed, e.Package)
	t.packages++
	if e.Action != "fail" {
		return
	}
	// What belongs to no test: a panic, a race at exit, a timeout, or a TestMain that gave up.
	fmt.Fprint(w, strings.Join(t.output[e.Package+" "], ""))
	if !slices.ContainsFunc(t.failed, func(name string) bool { return strings.HasPrefix(name, e.Package+" ") }) {
		t.failed = append(t.failed, e.Package+" (outside its tests)")
	}
	t.printUnfinished(e.Package, w)
}

// printUnfinished shows the output of tests that never ended, as after a panic or a timeout.
func (t *tally) printUnfinished(pkg string, w io.Writer) {
	for key, lines := range t.output {
		if strings.HasPrefix(key, pkg+" ") && key != pkg+" " {
			fmt.Fprintf(w, "--- unfinished: %s\n%s", key, strings.Join(lines, ""))
		}
	}
}

func (t *tally) endTest(e event, key string, w io.Writer) {
	t.slowest = append(t.slowest, timed{key, time.Duration(e.Elapsed * float64(time.Second))})
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.failed = append(t.failed, key)
		t.why = append(t.why, key+firstMessages(t.output[key]))
		fmt.Fprintf(w, "--- failed: %s\n%s", key, strings.Join(t.output[key], ""))
	case "skip":
		t.endSkip(key)
	}
}

func (t *tally) endSkip(key string) {
	message := lastMessage(t.output[key])
	line := key + ": " + message
	if m := needs.FindStringSubmatch(message); m != nil && t.getenv(m[1]) == "" {
		t.allowed = append(t.allowed, line)
		return
	}
	t.refused = append(t.refused, line)
}

// lastMessage returns what the test said last, which for a skipped test is why.
func lastMessage(output []string) string {
	for _, line := range slices.Backward(output) {
		if m := located.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return "(no message)"
}

// firstMessages returns the start of what a failed test said, which is seldom in the last lines of a long log.
func firstMessages(output []string) string {
	var said strings.Builder
	for _, line := range output {
		if m := located.FindStringSubmatch(line); m != nil && said.Len() < 1200 {
			fmt.Fprintf(&said, "\n           %.400s", strings.TrimSpace(line))
		}
	}
	return said.String()
}

// report writes the summary and says whether the tests passed.
func (t *tally) report(w io.Writer) bool {
	slices.SortFunc(t.slowest, func(a, b timed) int { return int(b.elapsed - a.elapsed) })
	for _, s := range t.slowest[:min(5, len(t.slowest))] {
		fmt.Fprintf(w, "slow     %7.1fs  %s\n", s.elapsed.Seconds(), s.name)
	}
	list(w, "not run, its data is not here: ", t.allowed)
	list(w, "SKIPPED  ", t.refused)
	list(w, "FAILED   ", t.failed)
	list(w, "said     ", t.why)
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped, %d not run for want of data, %d packages\n",
		t.passed, len(t.failed), len(t.refused), len(t.allowed), t.packages)
	if t.passed == 0 {
		fmt.Fprintln(w, "no test ran")
	}
	return t.passed > 0 && len(t.failed) == 0 && len(t.refused) == 0
}

func list(w io.Writer, prefix string, lines []string) {
	for _, line := range lines {
		fmt.Fprintln(w, prefix+line)
	}
}
