package bot

import (
	"math"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// sec is a moment some seconds after noon.
func sec(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Second))) }

// life is a process with a sample each ten seconds; cpu is spent per sample.
func life(pid int, start float64, slot string, from, to, cpu float64) detector.Life {
	l := detector.Life{PID: pid, Start: sec(start), Slot: slot, Role: detector.RoleChild}
	if slot == sample.SlotMain {
		l.Role = detector.RoleParent
	}
	spent := 1.0
	for at := from; at <= to; at += 10 {
		l.Samples = append(l.Samples, detector.Sample{At: sec(at), RSS: 100 << 20, Swap: 0, PSS: sample.NaN, USS: sample.NaN, CPU: spent})
		spent += cpu
	}
	return l
}

func pids(w detector.Worker) (out []int) {
	for _, l := range w.Lives {
		out = append(out, l.PID)
	}
	return out
}

func TestSplit(t *testing.T) {
	old := order.Fingerprint{PID: 10, Start: sec(-500)}
	noStart := life(15, 0, "1", 20, 60, 0)
	noStart.Start = time.Time{}
	tests := []struct {
		name    string
		life    detector.Life
		restart bool // it belongs to the new life
	}{
		{"the old main process", life(10, -500, "main", -300, 0, 0), false},
		{"the old main process, its start read a second off", life(10, -499, "main", -300, 0, 0), false},
		{"the old main process that outlived the order", life(10, -500, "main", -300, 200, 0), false},
		{"an old child", life(11, -400, "0", -300, 0, 0), false},
		{"a child born two seconds before, by another clock", life(12, -2, "0", 0, 60, 0), true},
		{"a child born three seconds before", life(12, -3, "0", 0, 60, 0), false},
		{"the new main process", life(20, 4, "main", 10, 60, 0), true},
		{"a new one with the old pid", life(10, 4, "main", 10, 60, 0), true},
		{"one without a start, first seen after", noStart, true},
	}
	for _, tt := range tests {
		was, is := split(detector.Worker{Lives: []detector.Life{tt.life}}, old, noon)
		if got := len(is.Lives) == 1; got != tt.restart || len(was.Lives)+len(is.Lives) != 1 {
			t.Errorf("%s: new is %v, old %v", tt.name, pids(is), pids(was))
		}
	}
}

// TestStoppingIsNoLevel: a parent that waited for its pool to end held little
// in its last readings, and the new life must not be measured by them.
func TestStoppingIsNoLevel(t *testing.T) {
	reads := func(pid int, role detector.Role, from, to float64, rss float64) detector.Life {
		l := detector.Life{PID: pid, Start: sec(from - 1), Role: role}
		for at := from; at <= to; at += 60 {
			l.Samples = append(l.Samples, detector.Sample{At: sec(at), RSS: rss * (1 << 20), PSS: math.NaN(), USS: math.NaN(), Swap: math.NaN(), CPU: math.NaN()})
		}
		return l
	}
	was := detector.Worker{Lives: []detector.Life{reads(10, detector.RoleParent, -7200, 1200, 40), reads(11, detector.RoleChild, -7200, 0, 200)}}
	is := detector.Worker{Lives: []detector.Life{reads(20, detector.RoleParent, 1260, 3000, 40), reads(21, detector.RoleChild, 1260, 3000, 40)}}
	judged := func(told time.Time) detector.Recovery {
		r, _ := detector.Recovered(untilTold(was, told), is, detector.Limit{}, sec(3000))
		return r
	}
	if got := judged(sec(0)); got != detector.DidRecover {
		t.Errorf("240 MiB before, 80 MiB after: %s", got)
	}
	if got := judged(time.Time{}); got != detector.DidNotRecover {
		t.Errorf("the parent alone is no longer the last level (%s): this test proves nothing", got)
	}
	if got := untilTold(was, sec(-9000)); len(got.Lives) != 2 {
		t.Errorf("nothing older: %d lives are left, want both", len(got.Lives))
	}
}

// TestNewLifeAfterASlowStop: what the old life held is told by the readings
// that the run had when it gave the order, not by a parent that was stopping.
func TestNewLifeAfterASlowStop(t *testing.T) {
	s, _ := assembled(t)
	now := time.Now().Truncate(time.Second)
	told, restarted := now.Add(-20*time.Minute), now.Add(-10*time.Minute)
	old := order.Fingerprint{PID: 10, Start: now.Add(-time.Hour)}
	for at := now.Add(-40 * time.Minute); !at.After(now); at = at.Add(10 * time.Second) {
		p := sample.Process{At: at, Droplet: "4711", Worker: "mailer", Slot: "main", Role: "parent", PID: 10, Start: old.Start,
			RSS: 900 << 20, PSS: sample.NaN, USS: sample.NaN, Swap: 0, CPU: 50}
		if at.After(told) { // its pool has gone
			p.RSS = 90 << 20
		}
		if at.After(restarted) {
			p.PID, p.Start = 20, restarted.Add(3*time.Second)
		}
		pass := sample.Pass{Processes: []sample.Process{p},
			Droplet: &sample.Droplet{At: at, Droplet: "4711", Available: 1 << 30, Total: 2 << 30, Boot: now.Add(-24 * time.Hour)}}
		if err := s.history.Write(t.Context(), sample.Encode(pass)); err != nil {
			t.Fatal(err)
		}
	}
	for at, want := range map[time.Time]detector.Recovery{told: detector.DidRecover, restarted: detector.DidNotRecover} {
		l, err := measure{s}.NewLife(t.Context(), "4711", "mailer", old, remedy.Numbers{At: at, Metric: "rss+swap"}, restarted)
		if f := l.Freed; f == nil || f.Metric != "rss+swap" || f.Low > f.Bytes || f.Bytes > f.High || (f.Low > 800<<20) != (want == detector.DidRecover) {
			t.Errorf("told %v before the restart: freed %+v", restarted.Sub(at), f)
		}
		if err != nil || l.Recovery != want {
			t.Errorf("told %v before the restart: %s, want %s; %v", restarted.Sub(at), l.Recovery, want, err)
		}
	}
}

func TestAttendance(t *testing.T) {
	passes := func(at ...float64) (out []time.Time) {
		for _, n := range at {
			out = append(out, sec(n))
		}
		return out
	}
	w := detector.Worker{Lives: []detector.Life{life(20, 15, "main", 20, 40, 0), life(21, 16, "0", 20, 90, 0)}}
	tests := []struct {
		name   string
		passes []time.Time
		w      detector.Worker
		n, abs int
	}{
		{"none yet", passes(-20, -10, 0), w, 0, 0},
		{"not there yet", passes(-10, 10), w, 1, 1},
		{"there", passes(-10, 10, 20, 30), w, 3, 0},
		{"came and went; its child does not count", passes(10, 20, 30, 40, 50, 60, 70), w, 7, 3},
		{"never came", passes(10, 20, 30), detector.Worker{}, 3, 3},
	}
	for _, tt := range tests {
		if n, absent := attendance(tt.w, tt.passes, noon); n != tt.n || absent != tt.abs {
			t.Errorf("%s: %d passes, %d absent, want %d and %d", tt.name, n, absent, tt.n, tt.abs)
		}
	}
}

func TestWorking(t *testing.T) {
	blind := life(21, 0, "0", 0, 100, 0)
	for i := range blind.Samples {
		blind.Samples[i].CPU = sample.NaN
	}
	tests := []struct {
		name  string
		lives []detector.Life
		want  remedy.Working
	}{
		{"nothing", nil, remedy.WorkUnknown},
		{"too few samples", []detector.Life{life(20, 0, "main", 0, 10, 5)}, remedy.WorkUnknown},
		{"CPU not measured", []detector.Life{blind}, remedy.WorkUnknown},
		{"a child works", []detector.Life{life(20, 0, "main", 0, 100, 0), life(21, 0, "0", 0, 100, 0), life(22, 0, "1", 0, 100, 0.02)}, remedy.Advancing},
		{"only the parent is busy", []detector.Life{life(20, 0, "main", 0, 100, 1), life(21, 0, "0", 0, 100, 0)}, remedy.Idle},
		{"an idle child's tick", []detector.Life{life(21, 0, "0", 0, 100, 0.003)}, remedy.Idle},
		{"one process at work", []detector.Life{life(20, 0, "main", 0, 100, 0.2)}, remedy.Advancing},
		{"one process's own upkeep", []detector.Life{life(20, 0, "main", 0, 1000, 0.05)}, remedy.Idle},
	}
	for _, tt := range tests {
		if got := working(detector.Worker{Lives: tt.lives}); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	start := life(21, 0, "0", 0, 100, 0)
	start.Samples[0].CPU = 0 // what start-up spent is no work
	if got := working(detector.Worker{Lives: []detector.Life{start}}); got != remedy.Idle {
		t.Errorf("start-up counts as work: %s", got)
	}
}

// What a worker holds now is told by PSS while that is fresh, else by RSS.
func TestNumbersAreFresh(t *testing.T) {
	w := detector.Worker{Lives: []detector.Life{life(10, -500, "main", -300, 0, 0)}}
	w.Lives[0].Samples[20].PSS = 70 << 20 // at -100 s
	for stale, want := range map[time.Duration]string{100 * time.Second: "pss+swap", 99 * time.Second: "rss+swap"} {
		if n := numbers(w, "", stale); n.Metric != want || n.PID != 10 {
			t.Errorf("stale after %v: %+v, want %s", stale, n, want)
		}
	}
	if n := numbers(w, "pss+swap", time.Second); n.Bytes != 70<<20 {
		t.Errorf("asked for PSS: %+v", n)
	}
}

// What is measured after a restart comes from history as it is kept.
func TestNewLife(t *testing.T) {
	s, _ := assembled(t)
	now := time.Now().Truncate(time.Second)
	restarted := now.Add(-100 * time.Second)
	old := order.Fingerprint{PID: 10, Start: now.Add(-time.Hour)}
	main := func(at time.Time) sample.Process {
		p := sample.Process{At: at, Droplet: "4711", Worker: "mailer", Slot: "main", Role: "parent", PID: 10, Start: old.Start,
			RSS: 900 << 20, PSS: sample.NaN, USS: sample.NaN, Swap: 0, CPU: 50}
		if at.After(restarted) {
			p.PID, p.Start, p.RSS, p.CPU = 20, restarted.Add(3*time.Second), 90<<20, at.Sub(restarted).Seconds()
		}
		return p
	}
	for at := now.Add(-10 * time.Minute); !at.After(now); at = at.Add(10 * time.Second) {
		p := sample.Pass{Droplet: &sample.Droplet{At: at, Droplet: "4711", Available: 1 << 30, Total: 2 << 30, Boot: now.Add(-24 * time.Hour)}}
		if gone := at.Sub(restarted); gone < 0 || gone > 5*time.Second {
			p.Processes = []sample.Process{main(at)}
		}
		if err := s.history.Write(t.Context(), sample.Encode(p)); err != nil {
			t.Fatal(err)
		}
	}
	before, err := measure{s}.Measure(t.Context(), "4711", "mailer")
	if err != nil || before.PID != 20 || before.Bytes != 90<<20 {
		t.Errorf("now it is %+v, %v", before, err)
	}
	onset := now.Add(-10 * time.Hour)
	if err := s.d.Store.OpenFinding(t.Context(), finding.Finding{ID: "f1", State: finding.Open, Version: 1, Opened: now.Add(-time.Hour), Updated: now, LastSeen: restarted.Add(-time.Minute),
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "4711", Worker: "mailer"}, Verdict: detector.Verdict{Kind: detector.Leak, Onset: &onset}}); err != nil {
		t.Fatal(err)
	}
	l, err := measure{s}.NewLife(t.Context(), "4711", "mailer", old, remedy.Numbers{Metric: "rss+swap"}, restarted)
	if err != nil {
		t.Fatal(err)
	}
	if wait := l.Tells.Sub(restarted); wait != 9*time.Hour { // as long as it took to see that it leaked
		t.Errorf("whether the new life grows can be told after %v", wait)
	}
	if !l.Seen || l.Lives != 1 || l.Passes != 10 || l.Absent != 0 || l.Now.PID != 20 || l.Now.Bytes != 90<<20 || l.Working != remedy.Advancing {
		t.Errorf("the new life is %+v", l)
	}
	if l, err := (measure{s}).NewLife(t.Context(), "4711", "nobody", old, remedy.Numbers{}, restarted); err != nil || l.Seen || l.Absent != 10 {
		t.Errorf("a worker that never came back is %+v, %v", l, err)
	}
}
