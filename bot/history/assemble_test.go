package history

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(m float64) time.Time { return noon.Add(time.Duration(m * float64(time.Minute))) }

// proc is a reading of a process of worker w on droplet 42.
func proc(m float64, pid int, start time.Time, role, slot string, rss float64) sample.Process {
	return sample.Process{At: at(m), Droplet: "42", Worker: "w", Slot: slot, Role: role, PID: pid, Start: start,
		RSS: rss, PSS: sample.NaN, USS: sample.NaN, Swap: 0, CPU: sample.NaN}
}

type lifeWant struct {
	PID  int
	Role detector.Role
	Slot string
	RSS  []float64
}

func livesOf(w detector.Worker) (out []lifeWant) {
	for _, l := range w.Lives {
		x := lifeWant{PID: l.PID, Role: l.Role, Slot: l.Slot}
		for _, s := range l.Samples {
			x.RSS = append(x.RSS, s.RSS)
		}
		out = append(out, x)
	}
	return out
}

func TestFromSamples(t *testing.T) {
	unknown := func(m float64, slot string, rss float64) sample.Process {
		return proc(m, 0, time.Time{}, "", slot, rss)
	}
	for _, c := range []struct {
		name string
		in   []sample.Process
		want []lifeWant
	}{
		{"one life, start wanders within two seconds", []sample.Process{
			proc(0, 7, noon, "parent", "main", 1), proc(1, 7, noon.Add(2*time.Second), "parent", "main", 2), proc(2, 7, noon.Add(-2*time.Second), "parent", "main", 3),
		}, []lifeWant{{7, detector.RoleParent, "main", []float64{1, 2, 3}}}},
		{"a pid used again", []sample.Process{
			proc(0, 7, noon, "child", "0", 1), proc(1, 7, noon.Add(3*time.Second), "child", "0", 2), proc(2, 7, noon.Add(3*time.Second), "child", "0", 3),
		}, []lifeWant{{7, detector.RoleChild, "0", []float64{1}}, {7, detector.RoleChild, "0", []float64{2, 3}}}},
		{"a slot taken over", []sample.Process{
			proc(0, 7, noon, "child", "0", 1), proc(1, 8, noon, "child", "0", 2),
		}, []lifeWant{{7, detector.RoleChild, "0", []float64{1}}, {8, detector.RoleChild, "0", []float64{2}}}},
		{"start told later", []sample.Process{
			proc(0, 7, time.Time{}, "", "", 1), proc(1, 7, noon, "child", "", 2), proc(2, 7, noon.Add(time.Hour), "child", "", 3),
		}, []lifeWant{{7, detector.RoleChild, "", []float64{1, 2}}, {7, detector.RoleChild, "", []float64{3}}}},
		{"no pid", []sample.Process{unknown(0, "", 1), unknown(1, "", 2)},
			[]lifeWant{{0, detector.RoleUnknown, "", []float64{1, 2}}}},
		{"no pid but slots", []sample.Process{unknown(0, "a", 1), unknown(0, "b", 2), unknown(1, "a", 3)},
			[]lifeWant{{0, detector.RoleUnknown, "a", []float64{1, 3}}, {0, detector.RoleUnknown, "b", []float64{2}}}},
		{"a parent by its slot", []sample.Process{proc(0, 7, noon, "", "main", 1)},
			[]lifeWant{{7, detector.RoleParent, "main", []float64{1}}}},
		{"out of order, and twice", []sample.Process{
			proc(2, 7, noon, "child", "0", 3), proc(0, 7, noon, "child", "0", 9), proc(0, 7, noon, "child", "0", 1), proc(1, 7, noon, "child", "0", 2),
		}, []lifeWant{{7, detector.RoleChild, "0", []float64{1, 2, 3}}}},
	} {
		got := FromSamples(c.in)
		if len(got) != 1 || got[0].Name != "w" || got[0].Droplet != "42" {
			t.Errorf("%s: workers %+v, want one", c.name, got)
			continue
		}
		if d := cmp.Diff(c.want, livesOf(got[0])); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
	other := proc(0, 1, noon, "", "", 1)
	other.Worker = "a"
	if got := FromSamples([]sample.Process{proc(0, 1, noon, "", "", 1), other}); len(got) != 2 || got[0].Name != "a" {
		t.Errorf("two workers come as %+v", got)
	}
}

// streams are passes of one droplet as they are read back.
func streams(t *testing.T, passes []sample.Pass) sample.Streams {
	t.Helper()
	var all []sample.Series
	for _, p := range passes {
		all = append(all, sample.Encode(p)...)
	}
	out := sample.DecodeStreams(sample.Merge(all))
	if len(out) != 1 {
		t.Fatalf("streams of %d droplets", len(out))
	}
	return out[0]
}

// TestAssemblePasses follows a worker through a restart, kills and a boot.
func TestAssemblePasses(t *testing.T) {
	boot := noon.Add(-24 * time.Hour)
	kills := []float64{2, 2, 3, 3, 0, 2}
	mains := []int{10, 10, 11, 11, 12, 12}
	var passes []sample.Pass
	for i := range kills {
		m := float64(i)
		if i == 4 {
			boot = at(3.5)
		}
		total := 100 + m // a new kernel's whim
		if i >= 2 {
			total = 125
		}
		start := noon.Add(-time.Hour)
		if mains[i] > 10 {
			start = at(float64(2*(mains[i]-10)) - 0.25)
		}
		passes = append(passes, sample.Pass{
			Processes: []sample.Process{proc(m, mains[i], start, "parent", "main", 1)},
			Workers: []sample.Worker{{At: at(m), Droplet: "42", Worker: "w", Pool: "prefork", Limit: 100, High: sample.NaN,
				Pressure: 0.5, OOMKills: kills[i]}},
			Droplet: &sample.Droplet{At: at(m), Droplet: "42", Available: 50, Total: total, OOMKills: sample.NaN, Boot: boot},
		})
	}
	g := newGathering("")
	g.feed(streams(t, passes[:3]))
	g.feed(streams(t, passes[3:]))
	w := finish(best(map[string]*gathering{"": g}))
	if len(w) != 1 {
		t.Fatalf("%d workers, want 1", len(w))
	}
	want := []detector.Event{
		{At: at(1.75), Kind: detector.EventRestart, Text: "restarted: main process 11 follows 10"},
		{At: at(2), Kind: detector.EventOOMKill, Text: "OOM kill"},
		{At: at(3.75), Kind: detector.EventReboot, Text: "the droplet booted"},
		{At: at(5), Kind: detector.EventOOMKill, Text: "OOM kill"},
		{At: at(5), Kind: detector.EventOOMKill, Text: "OOM kill"},
	}
	if d := cmp.Diff(want, w[0].Events); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if w[0].Pool != detector.PoolPrefork || w[0].Limit != (detector.Limit{Bytes: 100, Source: "memory.max"}) ||
		w[0].High != 0 || len(w[0].Pressure) != 6 {
		t.Errorf("the worker is %+v", w[0])
	}
	other := newGathering("other")
	if other.feed(streams(t, passes)); len(other.by) != 0 {
		t.Error("another worker was made of this one's passes")
	}
	host := newHost("42")
	host.feed(streams(t, passes))
	d := host.d
	if len(d.Available) != 6 || d.Total != 125 {
		t.Errorf("droplet: %d points, total %v", len(d.Available), d.Total)
	}
	kinds := []detector.Event{{At: at(2), Kind: detector.EventResize}, {At: at(3.5), Kind: detector.EventReboot}}
	if d := cmp.Diff(kinds, d.Events, cmpopts.IgnoreFields(detector.Event{}, "Text")); d != "" {
		t.Errorf("droplet events (-want +got):\n%s", d)
	}
}

// TestAssembleStreams: workers assembled slot by slot are those assembled
// reading by reading, whoever takes over whose slot and pid.
func TestAssembleStreams(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var passes []sample.Pass
		for m := range rapid.IntRange(1, 12).Draw(rt, "passes") {
			var p sample.Pass
			for _, slot := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"main", "0", "1"}), 1, 3, rapid.ID).Draw(rt, "slots") {
				start := rapid.SampledFrom([]time.Time{{}, noon, noon.Add(time.Second), noon.Add(time.Minute)}).Draw(rt, "start")
				role := rapid.SampledFrom([]string{"", "child"}).Draw(rt, "role")
				p.Processes = append(p.Processes, proc(float64(m), rapid.IntRange(0, 2).Draw(rt, "pid"), start, role, slot, float64(m+1)))
			}
			passes = append(passes, p)
		}
		var flat []sample.Process
		g := newGathering("")
		half := len(passes) / 2
		for i, part := range [][]sample.Pass{passes[:half], passes[half:]} {
			if len(part) == 0 {
				continue
			}
			s := streams(t, part)
			for _, p := range part {
				p.Sort()
				flat = append(flat, p.Processes...)
			}
			if g.feed(s); i == 0 && len(g.by) != 1 {
				rt.Fatalf("%d workers", len(g.by))
			}
		}
		if d := cmp.Diff(FromSamples(flat), finish(g.by), cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
			rt.Fatalf("workers (-readings +streams):\n%s", d)
		}
	})
}

func TestGaps(t *testing.T) {
	var times []time.Time
	for _, m := range []float64{0, 1, 2, 5, 6, 10, 11} { // 3 steps are none, 4 are one
		times = append(times, at(m))
	}
	if d := cmp.Diff([]detector.Gap{{From: at(6), To: at(10)}}, gaps(times)); d != "" {
		t.Error(d)
	}
	if g := gaps(times[:2]); g != nil {
		t.Errorf("two times have gaps %v", g)
	}
}
