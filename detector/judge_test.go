package detector

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// shape gives a process's RSS in MiB at hour h, with noise from r.
type shape func(h float64, r *rand.Rand) float64

var epoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func at(h float64) time.Time { return epoch.Add(time.Duration(h * float64(time.Hour))) }

// life samples a shape every minute from one hour to another.
func life(pid int, role Role, from, to float64, f shape) Life {
	r := rand.New(rand.NewPCG(uint64(pid), 7))
	l := Life{PID: pid, Start: at(from), Role: role}
	for h := from; h < to; h += 1.0 / 60 {
		rss := f(h-from, r) * MiB
		l.Samples = append(l.Samples, Sample{At: at(h), RSS: rss, PSS: 0.8 * rss, USS: 0.7 * rss, Swap: 0, CPU: 36 * (h - from)})
	}
	return l
}

func noisy(sd float64, f func(h float64) float64) shape {
	return func(h float64, r *rand.Rand) float64 { return f(h) + sd*math.Abs(r.NormFloat64()) }
}

func level(mib float64) shape { return noisy(0.3, func(float64) float64 { return mib }) }

// node is a parent that stands still and one child of the given shape.
func node(hours float64, f shape) Worker {
	return Worker{Name: "w", Pool: PoolPrefork, Lives: []Life{
		life(10, RoleParent, 0, hours, level(60)), life(11, RoleChild, 0, hours, f)}}
}

// pool is a parent and children that live for some hours each.
func pool(hours, each float64, f shape) Worker {
	w := Worker{Name: "w", Pool: PoolPrefork, Lives: []Life{life(10, RoleParent, 0, hours, level(60))}}
	for h, pid := 0.0, 11; h < hours-each/4; h, pid = h+each, pid+1 {
		w.Lives = append(w.Lives, life(pid, RoleChild, h, math.Min(h+each, hours), f))
	}
	return w
}

func TestJudge(t *testing.T) {
	limit := Limit{Bytes: 512 * MiB, Source: "memory.max"}
	cases := []struct {
		name   string
		w      Worker
		kind   Kind
		reason Reason
	}{
		{"nothing measured", Worker{Name: "w"}, Unsure, ReasonNoData},
		{"an hour", node(1, noisy(0.3, func(h float64) float64 { return 80 + 4*h })), Unsure, ReasonTooShort},
		{"level", node(30, level(80)), Healthy, ReasonFlat},
		{"steady leak", node(30, noisy(0.5, func(h float64) float64 { return 80 + 4*h })), Leak, ReasonLeak},
		{"steady leak, ten hours", node(10, noisy(0.5, func(h float64) float64 { return 80 + 4*h })), Leak, ReasonLeak},
		{"young and fast", node(4, noisy(0.5, func(h float64) float64 { return 80 + 12*h })), Unsure, ReasonWarmUp},
		{"warm-up", node(30, noisy(0.5, func(h float64) float64 { return 80 + 70*(1-math.Exp(-h/4)) })), Healthy, ReasonWarmUp},
		{"one step", node(30, noisy(0.5, func(h float64) float64 { return 80 + 30*float64(min(int(h/15), 1)) })), Healthy, ReasonStep},
		{"too small to matter", node(30, noisy(0.05, func(h float64) float64 { return 80 + 0.1*h })), Healthy, ReasonBelowMaterial},
		{"cache that clears", node(30, noisy(0.5, func(h float64) float64 { return 80 + 8*math.Mod(h, 9) })), Healthy, ReasonBounded},
		{"daily rhythm", node(96, noisy(0.5, func(h float64) float64 { return 90 + 15*math.Sin(2*math.Pi*h/24) })), Healthy, ReasonSeasonal},
		{"daily rhythm and leak", node(96, noisy(0.5, func(h float64) float64 { return 90 + 15*math.Sin(2*math.Pi*h/24) + 0.4*h })), Leak, ReasonLeak},
		{"stairs that stopped", node(30, noisy(0.3, stairs)), Healthy, ""},
		{"leak in bursts", node(36, noisy(0.3, func(h float64) float64 { return 80 + 24*(math.Floor(h/7)+math.Min(math.Mod(h, 7)/2, 1)) })), Leak, ReasonLeak},
		{"random ups and downs", node(30, wander(1)), Healthy, ""},
		{"growing load", loaded(30, func(h float64) float64 { return 1 + h/6 }), Healthy, ReasonLoad},
		{"leaking parent", Worker{Name: "w", Lives: []Life{
			life(10, RoleParent, 0, 30, noisy(0.5, func(h float64) float64 { return 60 + 3*h })),
			life(11, RoleChild, 0, 30, level(60))}}, Leak, ReasonLeakingParent},
		{"recycled leak", pool(30, 5, noisy(0.5, func(h float64) float64 { return 60 + 10*h })), LeakMasked, ReasonRecycled},
		{"recycled warm-up", pool(30, 5, noisy(0.5, func(h float64) float64 { return 60 + 40*(1-math.Exp(-h)) })), Healthy, ""},
		{"held at the limit", with(node(30, noisy(0.1, func(h float64) float64 { return math.Min(80+40*h, 580) })), limit), Leak, ReasonThrottled},
		{"level at the limit", with(node(30, level(580)), limit), Unsure, ReasonThrottled},
		{"close to the limit", with(node(30, level(551)), limit), Healthy, ReasonThreshold},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.w, time.Time{}, Options{})
			if v.Kind != c.kind || (c.reason != "" && v.Reason != c.reason) {
				t.Errorf("%s (%s), want %s (%s)\n%s", v.Kind, v.Reason, c.kind, c.reason, strings.Join(v.Evidence, "\n"))
			}
			if len(v.Evidence) == 0 {
				t.Error("no evidence")
			}
			if (v.Kind == Unsure) != (v.HoursNeeded != nil) || v.Kind == Unsure && v.Confidence > 0.5 {
				t.Errorf("%s with confidence %.2f and %v hours needed", v.Kind, v.Confidence, v.HoursNeeded)
			}
			if v.MinDetectable == nil && v.Reason != ReasonNoData {
				t.Error("no minimum detectable growth")
			}
		})
	}
}

func with(w Worker, l Limit) Worker { w.Limit = l; return w }

func TestNumbers(t *testing.T) {
	w := with(node(30, noisy(0.5, func(h float64) float64 { return 80 + 4*math.Max(h-10, 0) })), Limit{400 * MiB, "memory.max"})
	v := Judge(w, time.Time{}, Options{})
	if v.Kind != Leak {
		t.Fatalf("%s (%s)", v.Kind, v.Reason)
	}
	want := 4 * 0.8 * MiB // the sum is of PSS
	if r := v.Rate; r.Value < 0.95*want || r.Value > 1.05*want || r.Low > r.Value || r.High < r.Value {
		t.Errorf("rate %v, want %v", *r, want)
	}
	if d := v.Onset.Sub(at(10)).Hours(); math.Abs(d) > 3 {
		t.Errorf("onset %v, %.1f h off", v.Onset, d)
	}
	left := (400*MiB - v.Footprint) / want
	if d := v.Exhaustion.Expected.Sub(at(30 + left)).Hours(); math.Abs(d) > 5 {
		t.Errorf("exhaustion %v, %.1f h off", v.Exhaustion.Expected, d)
	}
	var named []int
	for _, p := range v.Processes {
		if p.Kind == Leak {
			named = append(named, p.PID)
		}
	}
	if !slices.Equal(named, []int{11}) {
		t.Errorf("named %v, want the child", named)
	}
}

// TestDetectableIsDetected: what is found grows no slower than what is said to
// be visible, also where a slow leak was watched for a week.
func TestDetectableIsDetected(t *testing.T) {
	for rate, hours := range map[float64]float64{0.12: 168, 0.2: 120, 0.6: 48, 4: 20} {
		v := Judge(node(hours, noisy(0.2, func(h float64) float64 { return 80 + rate*h })), time.Time{}, Options{})
		if v.Kind != Leak || *v.MinDetectable > rate*MiB {
			t.Errorf("%v MiB an hour for %v h: %s, visible from %s an hour", rate, hours, v.Kind, size(*v.MinDetectable))
		}
	}
}

func TestRecovered(t *testing.T) {
	before := node(20, noisy(0.5, func(h float64) float64 { return 80 + 6*h }))
	fresh := func(hours, mib float64) Worker {
		return Worker{Lives: []Life{life(20, RoleParent, 20.1, 20.1+hours, level(60)), life(21, RoleChild, 20.1, 20.1+hours, level(mib))}}
	}
	// filling takes what the old life held within nine minutes.
	filling := func(hours float64) Worker {
		fills := func(h float64) float64 { return 50 + 1000*min(h, 0.15) }
		return Worker{Lives: []Life{life(20, RoleParent, 20.1, 20.1+hours, level(60)), life(21, RoleChild, 20.1, 20.1+hours, noisy(0.3, fills))}}
	}
	cases := []struct {
		name  string
		after Worker
		limit float64
		want  Recovery
	}{
		{"came back", fresh(0.2, 82), 0, DidRecover},
		{"one reading", fresh(0.02, 82), 0, TooEarly},
		{"nothing yet", Worker{}, 0, TooEarly},
		{"only the old life", before, 0, TooEarly},
		{"as large as before", fresh(0.2, 195), 0, DidNotRecover},
		{"fills yet", filling(0.1), 0, TooEarly},
		{"filled", filling(0.3), 0, DidNotRecover},
		{"freed, yet at the limit", fresh(0.2, 82), 120 * MiB, DidNotRecover},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, n := Recovered(before, c.after, Limit{Bytes: c.limit}, at(21))
			if got != c.want {
				t.Errorf("%s, want %s: %+v", got, c.want, n)
			}
		})
	}
	_, n := Recovered(before, fresh(0.2, 82), Limit{}, at(21))
	if freed := n.Freed / MiB; math.Abs(freed-0.8*(200-82)) > 3 {
		t.Errorf("freed %.1f MiB", freed)
	}
}

// TestRateInterval: nine in ten intervals hold the true pace, however much each
// reading remembers of the one before.
func TestRateInterval(t *testing.T) {
	th := Options{}.defaults()
	th.rateSpread = 0 // what a pace changes by, and no noise
	for _, rho := range []float64{0, 0.8, 0.95} {
		held := 0
		const runs = 300
		for i := range runs {
			r, e := rand.New(rand.NewPCG(uint64(i), 5)), 0.0
			c := newCurve(480, nil)
			for k := range c.t {
				e = rho*e + r.NormFloat64()
				c.t[k], c.lo[k] = float64(k)/12, float64(k)/12+e
			}
			if iv := rateInterval(c, th); iv.Low <= 1 && 1 <= iv.High {
				held++
			}
		}
		t.Logf("correlation %v: %d of %d", rho, held, runs)
		if held < 0.84*runs || held > 0.98*runs {
			t.Errorf("correlation %v: %d of %d intervals hold the pace", rho, held, runs)
		}
	}
}

// TestFreedInterval: nine in ten intervals hold what came back, more or less,
// whatever the noise.
func TestFreedInterval(t *testing.T) {
	for _, sd := range []float64{0.5, 4, 20} {
		held, width := 0, 0.0
		const runs = 200
		for i := range runs {
			r := rand.New(rand.NewPCG(uint64(i), 77))
			noise := func(mib float64) shape { return func(float64, *rand.Rand) float64 { return mib + sd*r.NormFloat64() } }
			before := Worker{Lives: []Life{life(10, RoleParent, 0, 3, noise(300))}}
			after := Worker{Lives: []Life{life(20, RoleParent, 3.1, 3.3, noise(100))}}
			_, n := Recovered(before, after, Limit{}, at(3.3))
			if want := 0.8 * 200 * MiB; n.FreedLow <= want && want <= n.FreedHigh {
				held++
			}
			width += (n.FreedHigh - n.FreedLow) / runs
		}
		t.Logf("noise of %v MiB: %d of %d intervals hold it, %s wide", sd, held, runs, size(width))
		if held < 0.85*runs || held > 0.95*runs {
			t.Errorf("noise of %v MiB: %d of %d intervals hold what came back", sd, held, runs)
		}
	}
	_, n := Recovered(node(20, level(200)), Worker{}, Limit{}, at(21))
	if n.FreedLow != 0 || n.FreedHigh != 0 {
		t.Errorf("an interval of what is not known yet: %+v", n)
	}
}

// Where PSS was read long before the restart, it does not tell what the old
// life held at its end.
func TestRecoveredByTheFreshMetric(t *testing.T) {
	after := Worker{Lives: []Life{life(20, RoleParent, 20.1, 20.3, level(60)), life(21, RoleChild, 20.1, 20.3, level(150))}}
	for _, tt := range []struct {
		ended  float64 // hour of the last PSS
		metric string
		want   Recovery
	}{
		{5, "rss+swap", DidRecover},
		{19.7, "rss+swap", DidRecover},
		{19.8, "pss+swap", DidRecover},
	} {
		before := node(20, level(80))
		for i, l := range before.Lives {
			for k, s := range l.Samples {
				if h := s.At.Sub(at(0)).Hours(); l.Role == RoleChild && h > 5 {
					s.RSS, s.PSS = 400*MiB, 320*MiB
				}
				if s.At.After(at(tt.ended)) {
					s.PSS, s.USS = math.NaN(), math.NaN()
				}
				before.Lives[i].Samples[k] = s
			}
		}
		if got, n := Recovered(before, after, Limit{}, at(21)); got != tt.want || n.Metric != tt.metric {
			t.Errorf("PSS until hour %v: %s by %s, want %s by %s", tt.ended, got, n.Metric, tt.want, tt.metric)
		}
	}
}

// A reading just before the restart is not outvoted by those of hours before.
func TestRecoveredFromTheLastReading(t *testing.T) {
	before := node(20, noisy(0.5, func(h float64) float64 { return 80 + 6*h }))
	for _, l := range before.Lives {
		for k := range l.Samples {
			if h := l.Samples[k].At.Sub(at(0)).Hours(); h < 19.95 && math.Mod(h, 4) > 0.02 {
				l.Samples[k].PSS, l.Samples[k].USS = math.NaN(), math.NaN()
			}
		}
	}
	after := Worker{Lives: []Life{life(20, RoleParent, 20.1, 20.3, level(60)), life(21, RoleChild, 20.1, 20.3, level(120))}}
	got, n := Recovered(before, after, Limit{}, at(21))
	if got != DidRecover || n.Metric != "pss+swap" || math.Abs(n.Before/MiB-0.8*260) > 5 {
		t.Errorf("%s by %+v", got, n)
	}
}

func TestCompare(t *testing.T) {
	leaky := node(24, noisy(0.5, func(h float64) float64 { return 80 + 6*h }))
	cases := []struct {
		name          string
		before, after Worker
		want          Fix
		more          bool // hours would tell
		says          string
	}{
		{"fixed", leaky, node(24, level(80)), Fixed, false, "Nothing leaks any more: growth is at most "},
		{"still leaks", leaky, node(24, noisy(0.5, func(h float64) float64 { return 70 + 6*h })), NotFixed, false, "It leaks after it too: steady growth."},
		{"leaks more slowly", leaky, node(40, noisy(0.3, func(h float64) float64 { return 70 + h })), NotFixed, false, "% of its earlier pace: a part is fixed."},
		{"slow, and as slow as before", node(168, noisy(0.1, func(h float64) float64 { return 80 + 0.2*h })), node(20, noisy(0.1, func(h float64) float64 { return 80 + 0.19*h })), FixUnsure, true, "a fix leaves at most "},
		{"slow, and fixed", node(168, noisy(0.1, func(h float64) float64 { return 80 + 0.2*h })), node(60, level(80)), Fixed, false, "are left to a fix."},
		{"too short", leaky, node(1, level(80)), FixUnsure, true, "both need at least"},
		{"before too short for anything", node(1, noisy(0.5, func(h float64) float64 { return 80 + 6*h })), node(24, level(80)), FixUnsure, false, "both need at least"},
		{"too noisy yet", leaky, node(4, noisy(25, func(h float64) float64 { return 80 })), FixUnsure, true, "No leak is seen after it, but growth may still be "},
		{"nothing to fix", node(24, level(80)), node(24, level(80)), FixUnsure, false, "Take a time before it that shows the growth."},
		{"swapped", node(24, level(80)), leaky, FixUnsure, false, "The time after does leak: steady growth."},
		{"before too short, and leaks", node(1, level(80)), leaky, FixUnsure, false, "The time after does leak: steady growth."},
		{"before too short", node(4, noisy(0.5, func(h float64) float64 { return 80 + 12*h })), node(24, level(80)), FixUnsure, false, "would have had to be"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := Compare(c.before, c.after, Options{})
			if got.Answer != c.want || c.more != (got.HoursNeeded != nil) || !strings.Contains(strings.Join(got.Evidence, " "), c.says) {
				t.Errorf("%s, want %s; hours %v: %v", got.Answer, c.want, got.HoursNeeded, got.Evidence)
			}
			if after := Judge(c.after, time.Time{}, Options{}).Kind.Leaks(); got.Leaks != after {
				t.Errorf("leaks after it: %v, want %v", got.Leaks, after)
			}
			if brief := func(w Worker) bool { return lastSample(w).Sub(w.Lives[0].Samples[0].At) < 2*time.Hour }; (got.Before == nil) != brief(c.before) || (got.After == nil) != brief(c.after) {
				t.Errorf("rates %v and %v", got.Before, got.After)
			}
		})
	}
}

// host is a droplet whose used memory is the sum of what is given.
func host(hours float64, others []Other, ws ...Worker) Droplet {
	d := Droplet{ID: "1", Total: 4096 * MiB, Others: others}
	r := rand.New(rand.NewPCG(3, 3))
	for m := 0; m < int(hours*60)-1; m++ {
		used := 500*MiB + 2*MiB*math.Abs(r.NormFloat64())
		for _, w := range ws {
			for _, l := range w.Lives {
				used += l.Samples[m].PSS
			}
		}
		for _, o := range others {
			used += o.Memory[m].V
		}
		d.Available = append(d.Available, Point{at(float64(m) / 60), d.Total - used})
	}
	return d
}

func other(name string, hours float64, f func(h float64) float64) Other {
	o := Other{Name: name}
	for m := range int(hours * 60) {
		o.Memory = append(o.Memory, Point{at(float64(m) / 60), f(float64(m)/60) * MiB})
	}
	return o
}

func TestDroplet(t *testing.T) {
	leaky := node(30, noisy(0.5, func(h float64) float64 { return 80 + 10*h }))
	calm := node(30, level(80))
	leaky.Name, calm.Name = "leaky", "calm"
	grows := func(h float64) float64 { return 100 + 10*h }
	still := func(float64) float64 { return 100 }
	cases := []struct {
		name    string
		others  []Other
		ws      []Worker
		kind    Kind
		first   string
		suspect string
		says    string
	}{
		{"a worker", []Other{other("nginx", 30, still)}, []Worker{calm, leaky}, Leak, "leaky", "", " Worker leaky explains "},
		{"no worker", []Other{other("nginx", 30, still), other("postgres", 30, grows)}, []Worker{calm}, Leak, "", "postgres", "postgres, which is no worker, explains "},
		{"a worker, and a little of another", []Other{other("nginx", 30, func(h float64) float64 { return 100 + 0.5*h })}, []Worker{calm, leaky}, Leak, "leaky", "", ""},
		{"a host's own creep", []Other{other("nginx", 30, func(h float64) float64 { return 100 + 0.5*h })}, []Worker{calm}, Healthy, "", "", "growth too small to matter"},
		{"nobody", []Other{other("nginx", 30, still)}, []Worker{calm}, Healthy, "", "", "Growth below "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var vs []Verdict
			for _, w := range c.ws {
				vs = append(vs, Judge(w, time.Time{}, Options{}))
			}
			v := JudgeDroplet(host(30, c.others, c.ws...), c.ws, vs, time.Time{}, Options{})
			if v.Kind != c.kind || v.Suspect != c.suspect || (c.first != "" && v.Workers[0].Name != c.first) {
				t.Errorf("%s (%s), suspect %q, workers %+v, others %+v", v.Kind, v.Reason, v.Suspect, v.Workers, v.Others)
			}
			if v.MinDetectable == nil || *v.MinDetectable <= 0 || (v.Kind == Unsure) != (v.HoursNeeded != nil) {
				t.Errorf("%s, visible from %v, needs %v hours", v.Kind, v.MinDetectable, v.HoursNeeded)
			}
			if said := strings.Join(v.Evidence, " "); !strings.HasPrefix(said, "Used memory (total less available, page cache not counted) ") || !strings.Contains(said, c.says) {
				t.Errorf("%q lacks %q", said, c.says)
			}
			if c.first != "" && v.Workers[0].Share.Value < 0.8 {
				t.Errorf("the leaking worker explains %.2f only", v.Workers[0].Share.Value)
			}
		})
	}
}

// TestDropletUnsure: a droplet that nobody can tell of yet says how many hours
// are missing, by the numbers that decided.
func TestDropletUnsure(t *testing.T) {
	calm := node(30, level(80))
	waves := other("nginx", 30, func(h float64) float64 { return 100 + 9*h + 45*math.Asin(math.Sin(2*math.Pi*h/3)) })
	for name, c := range map[string]struct {
		d      Droplet
		reason Reason
		need   float64
		says   string
	}{
		"nothing measured": {Droplet{ID: "1"}, ReasonNoData, 2.5, "No reading of this droplet's available memory."},
		"two hours":        {host(2, nil, node(2, level(80))), ReasonTooShort, 0.5, " was measured for 1.9"},
		"a day of waves":   {host(30, []Other{waves}, calm), ReasonSeasonal, 18, " before two whole days are seen that may be the rhythm of a day."},
	} {
		v := JudgeDroplet(c.d, nil, nil, time.Time{}, Options{})
		said := strings.Join(v.Evidence, " ")
		if v.Kind != Unsure || v.Reason != c.reason || v.HoursNeeded == nil || math.Abs(*v.HoursNeeded-c.need) > 0.2 || !strings.Contains(said, c.says) || v.Confidence > 0.5 {
			t.Errorf("%s: %s (%s), %v hours, %q", name, v.Kind, v.Reason, v.HoursNeeded, said)
		}
	}
}

// wander reverts to its mean within the hour.
func wander(seed uint64) shape {
	x := 0.0
	return func(_ float64, r *rand.Rand) float64 {
		x = 0.97*x + 1.5*r.NormFloat64()
		return 100 + x
	}
}

// loaded is a child whose memory follows what it has to do, and whose CPU
// time tells.
func loaded(hours float64, f func(h float64) float64) Worker {
	r := rand.New(rand.NewPCG(8, 8))
	var bumps []float64
	for x := 0.0; len(bumps) < int(hours)+2; {
		x = 0.5*x + 0.15*r.NormFloat64()
		bumps = append(bumps, x)
	}
	work := func(h float64) float64 {
		i := int(h)
		return math.Max(f(h)+bumps[i]+(h-float64(i))*(bumps[i+1]-bumps[i]), 0.1)
	}
	w := node(hours, noisy(0.3, func(h float64) float64 { return 60 + 15*work(h) }))
	cpu := 0.0
	for i, s := range w.Lives[1].Samples {
		cpu += 10 * work(s.At.Sub(epoch).Hours())
		w.Lives[1].Samples[i].CPU = cpu
	}
	return w
}
