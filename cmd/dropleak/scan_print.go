package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/formats"
)

// printScan prints the result as a table or as JSON; notes and errors of the
// files go to talk.
func printScan(s streams, f scanFlags, files []judged) error {
	for _, file := range files {
		printNotes(s, file)
		if file.err != nil {
			fmt.Fprintf(s.talk, "dropleak: %s: %s\n", printable(file.path), printable(file.err.Error()))
		}
	}
	if f.json {
		return printJSON(s, scanJSON(files))
	}
	if err := printTable(s, files); err != nil {
		return err
	}
	return printTasks(s, files)
}

// notesAlike is how many notes that differ in their line and what they quote
// are worth a line of the terminal each; --json has them all.
const notesAlike = 3

// quoted is what notes of one kind differ in.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// printNotes says what is to be said of a file, many alike as a few and their
// number.
func printNotes(s streams, file judged) {
	alike := map[string]int{}
	var kinds []string
	var whole []formats.Note // about the file, said last
	for _, n := range file.notes {
		if n.Line == 0 {
			whole = append(whole, n)
			continue
		}
		kind := quoted.ReplaceAllString(n.Text, "")
		if alike[kind]++; alike[kind] <= notesAlike {
			fmt.Fprintln(s.talk, noteLine(file.path, n))
		}
		if alike[kind] == notesAlike+1 {
			kinds = append(kinds, kind)
		}
	}
	for _, kind := range kinds {
		if n := alike[kind] - notesAlike; n == 1 {
			fmt.Fprintf(s.talk, "dropleak: %s: and one more line like those\n", printable(file.path))
		} else {
			fmt.Fprintf(s.talk, "dropleak: %s: and %d more lines like those (%s)\n", printable(file.path), n, strings.Join(strings.Fields(printable(kind)), " "))
		}
	}
	for _, n := range whole {
		fmt.Fprintln(s.talk, noteLine(file.path, n))
	}
}

// noteLine says a note with its file, and its line where it has one.
func noteLine(path string, n formats.Note) string {
	if n.Line > 0 {
		return fmt.Sprintf("dropleak: %s:%d: %s", printable(path), n.Line, printable(n.Text))
	}
	return fmt.Sprintf("dropleak: %s: %s", printable(path), printable(n.Text))
}

func printJSON(s streams, v any) error {
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// printTable prints one aligned row a worker, worst first over all files,
// then a line each saying why.
func printTable(s streams, files []judged) error {
	type row struct {
		file string
		judgedWorker
	}
	var rows []row
	for _, file := range files {
		for _, w := range file.workers {
			rows = append(rows, row{file.path, w})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	slices.SortStableFunc(rows, func(a, b row) int { return worstFirst(a.verdict, b.verdict) })
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORKER\tVERDICT\tREASON\tMEMORY\tRATE\tSINCE\tRUNS OUT\tSURE\tFILE")
	for _, r := range rows {
		v := r.verdict
		at := lastSample(r.worker)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%s\n", printable(r.worker.Name), v.Kind, v.Reason,
			report.Bytes(v.Footprint), rateText(v.Rate), sinceText(v.Onset, at), leftText(v.Exhaustion, at), v.Confidence, printable(r.file))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Fprintln(s.out)
	for _, r := range rows {
		why := strings.Join(r.verdict.Evidence, " ")
		if r.verdict.HoursNeeded != nil && !strings.Contains(why, " would tell") {
			why += fmt.Sprintf(" About %.0f h more would tell.", *r.verdict.HoursNeeded)
		}
		fmt.Fprintf(s.out, "%s: %s\n", printable(r.worker.Name), printable(why))
	}
	return nil
}

// printTasks ranks the tasks of every worker by what a call leaves behind.
func printTasks(s streams, files []judged) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	head := "\nWORKER\tTASK\tVERDICT\tA CALL LEAVES\t90 % INTERVAL\tNOT TOLD APART FROM\n"
	for _, file := range files {
		for _, one := range file.workers {
			for _, t := range one.verdict.Tasks {
				b, interval, beside := report.Bytes(t.BytesPerCall.Value), "-", "-"
				if t.BytesPerCall == (detector.Interval{}) {
					b = "-"
				} else {
					interval = report.Bytes(t.BytesPerCall.Low) + " to " + report.Bytes(t.BytesPerCall.High)
				}
				if len(t.Group) > 0 {
					beside = strings.Join(t.Group, ", ")
				}
				fmt.Fprint(w, head)
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(one.worker.Name), printable(t.Task), t.Kind, b, interval, printable(beside))
				head = ""
			}
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// printable keeps control characters of a file out of the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func rateText(i *detector.Interval) string {
	if i == nil {
		return "-"
	}
	return report.Rate(i.Value)
}

func sinceText(onset *time.Time, at time.Time) string {
	if onset == nil {
		return "-"
	}
	return report.Duration(at.Sub(*onset)) + " ago"
}

func leftText(e *detector.Exhaustion, at time.Time) string {
	if e == nil {
		return "-"
	}
	return "in " + report.Duration(e.Expected.Sub(at))
}

// compareJSON is what scan --compare --json prints.
type compareJSON struct {
	Before      string        `json:"before"`
	After       string        `json:"after"`
	Answer      detector.Fix  `json:"answer"`
	RateBefore  *intervalJSON `json:"rate_before"`
	RateAfter   *intervalJSON `json:"rate_after"`
	HoursNeeded *float64      `json:"hours_needed"`
	Evidence    []string      `json:"evidence"`
}

type intervalJSON struct {
	Low   float64 `json:"low"`
	Value float64 `json:"value"`
	High  float64 `json:"high"`
}

func intervalOf(i *detector.Interval) *intervalJSON {
	if i == nil {
		return nil
	}
	return &intervalJSON{i.Low, i.Value, i.High}
}

// printCompare prints whether a fix worked. Its exit code is 1 when the worker
// leaks after it.
func printCompare(s streams, f scanFlags, args []string, c detector.Comparison) error {
	if f.json {
		evidence := c.Evidence
		if evidence == nil {
			evidence = []string{}
		}
		if err := printJSON(s, compareJSON{args[0], args[1], c.Answer, intervalOf(c.Before), intervalOf(c.After), c.HoursNeeded, evidence}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(s.out, "%s: %s before, %s after\n", c.Answer, rateText(c.Before), rateText(c.After))
		for _, e := range c.Evidence {
			fmt.Fprintln(s.out, e)
		}
		if c.HoursNeeded != nil {
			fmt.Fprintf(s.out, "about %.0f h more would tell\n", *c.HoursNeeded)
		}
	}
	if c.Leaks {
		return errLeak
	}
	return nil
}
