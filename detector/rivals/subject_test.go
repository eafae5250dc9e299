package rivals

import (
	"math"
	"sort"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/corpus"
	"github.com/dropleak/dropleak/detector/synth"
)

// subject is one labelled worker, whichever way it came.
type subject struct {
	set, family, name string
	seed              uint64
	worker            detector.Worker
	leaks             bool
	kind              detector.Kind
	reasons           []detector.Reason
	rate              float64   // bytes per hour
	task              string    // to blame; empty: none, or not known
	started, onset    time.Time // of the leak, and of its showing
	begin, end        time.Time // of the series
	exhausts          time.Time
}

func ofCase(c synth.Case) subject {
	s := subject{set: "synth", family: c.Family, name: c.Worker.Name, seed: c.Seed, worker: c.Worker, leaks: c.Truth.Leaks,
		kind: c.Truth.Kind, task: c.Truth.LeakyTask, reasons: c.Truth.Reasons, rate: c.Truth.RateBytesPerHour, started: c.Truth.Started, onset: c.Truth.Onset, end: c.At, exhausts: c.Truth.Exhausts}
	for _, l := range c.Worker.Lives {
		if at := l.Samples[0].At; s.begin.IsZero() || at.Before(s.begin) {
			s.begin = at
		}
	}
	return s
}

func ofRecording(r corpus.Recording, set string) subject {
	return subject{set: set, family: r.Family, name: r.Name, worker: r.Worker, leaks: r.Kind.Leaks(), kind: r.Kind,
		rate: r.Rate, task: r.Task, started: r.Onset, onset: r.Onset, begin: r.Begin, end: r.End}
}

// withLimit gives a worker without a limit the one the rivals need: twice
// what it held after an hour. Nobody sizes a worker by less, and it gives the
// rivals on the recordings the figures published for them.
func withLimit(s Series) Series {
	if !math.IsInf(s.Limit, 1) {
		return s
	}
	for i, h := range s.Hours {
		if h >= 1 {
			s.Limit = 2 * s.Bytes[i]
			break
		}
	}
	return s
}

// look is what one way of judging said at one moment.
type look struct {
	at      time.Time
	alarm   bool
	verdict detector.Verdict // dropleak's only
}

// judge looks at the subject n times, or as often as -every says, as alerts come, each time seeing only
// what there was by then. The first answer is dropleak's, the others are the
// rivals' in their order, where asked for.
func judge(s subject, n int, beside bool) [][]look {
	var rivals []Rival
	var series Series
	if beside {
		rivals, series = All(), withLimit(Of(s.worker))
	}
	if *everyFlag > 0 {
		n = max(1, int(s.end.Sub(s.begin) / *everyFlag))
	}
	out := make([][]look, 1+len(rivals))
	seen := newWatcher(s.worker)
	for k := 1; k <= n; k++ {
		at := s.begin.Add(s.end.Sub(s.begin) * time.Duration(k) / time.Duration(n))
		v := seen.judge(at)
		out[0] = append(out[0], look{at, v.Kind.Leaks(), v})
		for i, r := range rivals {
			out[1+i] = append(out[1+i], look{at: at, alarm: r.Alarm(series.Until(at))})
		}
	}
	return out
}

// watcher judges one worker again and again the way the service does: it
// keeps the summaries of chunks that are over.
type watcher struct {
	worker detector.Worker
	over   map[int64]detector.Chunk
}

func newWatcher(w detector.Worker) *watcher {
	return &watcher{worker: w, over: map[int64]detector.Chunk{}}
}

func (o *watcher) judge(at time.Time) detector.Verdict {
	opt := detector.Options{Patience: *patienceFlag}
	if len(o.worker.Tasks) > 0 {
		return detector.Judge(o.worker, at, opt) // which task leaks is not kept by chunk
	}
	w := until(o.worker, at)
	var chunks []detector.Chunk
	for _, i := range detector.Chunks(w) {
		end := time.Unix(0, 0).Add(time.Duration(i+1) * detector.ChunkWidth)
		c, kept := o.over[i]
		if !kept {
			c = detector.SummarizeChunk(w, i, detector.Options{})
			if !end.After(at) {
				o.over[i] = c
			}
		}
		chunks = append(chunks, c)
	}
	return detector.JudgeSummary(detector.Join(w, chunks), at, opt)
}

// until is the worker as it was known at that moment.
func until(w detector.Worker, at time.Time) detector.Worker {
	lives := make([]detector.Life, 0, len(w.Lives))
	for _, l := range w.Lives {
		n := sort.Search(len(l.Samples), func(i int) bool { return l.Samples[i].At.After(at) })
		l.Samples = l.Samples[:n]
		lives = append(lives, l)
	}
	w.Lives = lives
	return w
}
