package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/chart"
	"github.com/dropleak/dropleak/detector/formats"
	"github.com/dropleak/dropleak/detector/sample"
)

// judged is one file and what was found in it.
type judged struct {
	path    string
	err     error
	notes   []formats.Note
	workers []judgedWorker
}

// judgedWorker is one worker and its verdict.
type judgedWorker struct {
	worker  detector.Worker
	verdict detector.Verdict
	marks   []chart.Mark // functions that ran meanwhile
}

// scan judges every input and prints the result.
func scan(ctx context.Context, s streams, f scanFlags, args []string) error {
	sources, err := expand(args, s.in, layoutOf(f.format))
	if err != nil {
		return usage(err)
	}
	progress := newProgress(s.talk, len(sources))
	var files []judged
	for _, source := range sources {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		progress.step(source.Path)
		files = append(files, judgeSource(progress.watch(source), f))
	}
	progress.done()
	if err := printScan(s, f, files); err != nil {
		return err
	}
	if f.png != "" {
		if err := drawScan(f.png, files); err != nil {
			return usage(err) // 1 would say that some worker leaks
		}
	}
	return scanExit(files)
}

// scanExit is the exit status of a scan.
func scanExit(files []judged) error {
	code := 0
	for _, file := range files {
		if file.err != nil {
			return exitError{code: 2}
		}
		for _, w := range file.workers {
			if w.verdict.Kind.Leaks() {
				code = 1
			}
		}
	}
	if code == 0 {
		return nil
	}
	return exitError{code: code}
}

// judgeSource reads one source and judges the workers in it, worst first.
func judgeSource(source formats.Source, f scanFlags) judged {
	reading, err := source.Read(f.reading())
	file := judged{path: source.Path, err: withoutPath(err, source.Path), notes: reading.Notes}
	if err != nil {
		return file
	}
	workers := history.FromSamples(reading.Processes)
	if len(workers) == 0 && len(reading.Evidence) > 0 {
		workers = []detector.Worker{{Name: source.Name}} // lines that grew, and no measure of when
	}
	for _, w := range workers {
		w.Held = heldBy(w, reading.Held)
		w.Limit = scanLimit(f, w, reading.Droplets)
		o := f.options(reading.ValueOnly)
		one := judgedWorker{worker: w, verdict: detector.Judge(w, lastSample(w), o)}
		w.Tasks = f.runs
		one.verdict = detector.Blame(one.verdict, w, lastSample(w), o)
		if len(workers) == 1 {
			one.verdict.Evidence = append(one.verdict.Evidence, reading.Evidence...)
			one.marks = marksOf(reading.Calls)
		}
		file.workers = append(file.workers, one)
	}
	if len(file.workers) == 0 {
		file.err = errors.New("the rows are about the droplet alone; there is no worker to judge")
	}
	slices.SortStableFunc(file.workers, func(a, b judgedWorker) int { return worstFirst(a.verdict, b.verdict) })
	return file
}

// heldBy are the tasks that a worker held until their time.
func heldBy(w detector.Worker, all []formats.Held) (out []detector.Point) {
	for _, h := range all {
		if h.Worker == w.Name && h.Droplet == w.Droplet {
			out = append(out, detector.Point{At: h.At, V: h.Tasks})
		}
	}
	return out
}

// scanLimit is the limit given, else what the droplet had left at the end.
func scanLimit(f scanFlags, w detector.Worker, droplets []sample.Droplet) detector.Limit {
	if f.limitBytes > 0 {
		return detector.Limit{Bytes: f.limitBytes, Source: "configured"}
	}
	last := lastSample(w)
	for _, d := range slices.Backward(droplets) {
		if sample.Measured(d.Available) && !d.At.After(last) && (d.Droplet == w.Droplet || w.Droplet == "") {
			return detector.Limit{Bytes: d.Available + lastFootprint(w, last), Source: "droplet"}
		}
	}
	return detector.Limit{}
}

// lastFootprint sums what the processes alive at the end hold.
func lastFootprint(w detector.Worker, last time.Time) (sum float64) {
	for _, l := range w.Lives {
		if n := len(l.Samples); n > 0 && !l.Samples[n-1].At.Before(last.Add(-10*time.Minute)) {
			sum += orZero(l.Samples[n-1].RSS) + orZero(l.Samples[n-1].Swap)
		}
	}
	return sum
}

func orZero(v float64) float64 {
	if !sample.Measured(v) {
		return 0
	}
	return v
}

// worstFirst orders verdicts: leaks by the time left, then by rate; then
// masked ones, unsure ones, healthy ones.
func worstFirst(a, b detector.Verdict) int {
	rank := map[detector.Kind]int{detector.Leak: 0, detector.LeakMasked: 1, detector.Unsure: 2, detector.Healthy: 3}
	if c := cmp.Compare(rank[a.Kind], rank[b.Kind]); c != 0 {
		return c
	}
	if a.Exhaustion != nil && b.Exhaustion != nil {
		return a.Exhaustion.Expected.Compare(b.Exhaustion.Expected)
	}
	if (a.Exhaustion != nil) != (b.Exhaustion != nil) {
		return map[bool]int{true: -1, false: 1}[a.Exhaustion != nil]
	}
	return cmp.Compare(rate(b), rate(a))
}

func rate(v detector.Verdict) float64 {
	if v.Rate == nil {
		return 0
	}
	return v.Rate.Value
}

// scanCompare says whether a fix worked.
func scanCompare(_ context.Context, s streams, f scanFlags, args []string) error {
	var pair [2]detector.Worker
	valueOnly := false
	sources, err := expand(args, s.in, layoutOf(f.format))
	if err != nil {
		return usage(err)
	}
	if len(sources) != 2 {
		return usage(fmt.Errorf("--compare takes one recording before and one after; there are %d in %s", len(sources), strings.Join(args, " and ")))
	}
	for i, source := range sources {
		reading, err := source.Read(f.reading())
		if err != nil {
			return usage(fmt.Errorf("%s: %w", source.Path, withoutPath(err, source.Path)))
		}
		printNotes(s, judged{path: source.Path, notes: reading.Notes})
		workers := history.FromSamples(reading.Processes)
		if len(workers) != 1 {
			return usage(fmt.Errorf("%s: compare wants one worker in each file, not %d", source.Path, len(workers)))
		}
		pair[i], valueOnly = workers[0], valueOnly || reading.ValueOnly
		pair[i].Held = heldBy(pair[i], reading.Held)
	}
	return printCompare(s, f, args, detector.Compare(pair[0], pair[1], f.options(valueOnly)))
}
