package watch_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

const mib = 1 << 20

func nan() float64 { return math.NaN() }

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func hours(n float64) time.Duration { return time.Duration(n * float64(time.Hour)) }

// leak grows by 20 MiB an hour from the tenth hour on.
func leak(h float64) float64 { return 200*mib + 20*mib*max(h-10, 0) }

// leaking is a bed in which the leak was found at the 40th hour.
func leaking(t *testing.T, to float64, curve func(float64) float64) *bed {
	t.Helper()
	b := newBed(t, line("mailer", monday, monday.Add(hours(to)), curve))
	if told := b.scan(monday.Add(hours(40))); told != "opened leak mailer" {
		t.Fatalf("told %q", told)
	}
	return b
}

func TestALeakOpensOnce(t *testing.T) {
	c := made(t, "l2", 3, 3)
	b := newBed(t, c.Worker)
	first := c.Worker.Lives[0].Samples[0].At
	opened := 0
	for at := first.Add(hours(2)); !at.After(c.At); at = at.Add(hours(1)) {
		told := b.scan(at)
		opened += strings.Count(told, "opened")
		if opened == 0 && told != "" || strings.Contains(told, "resolved") {
			t.Fatalf("%v after the start told %q", at.Sub(first), told)
		}
	}
	if opened != 1 {
		t.Fatalf("opened %d times", opened)
	}
	f := b.the()
	if f.State != finding.Open || f.Verdict.Kind != detector.Leak || f.Verdict.Rate == nil || c.At.Sub(f.LastSeen) > time.Hour || f.Worst <= 0 {
		t.Errorf("the finding is %+v", f)
	}
}

func TestHealthyIsSilent(t *testing.T) {
	for _, family := range []string{"h1", "h3", "h8"} {
		c := made(t, family, 2, 3)
		b := newBed(t, c.Worker)
		if told := b.scan(c.At); told != "" {
			t.Errorf("%s: told %q", family, told)
		}
	}
}

func TestWorseIsTold(t *testing.T) {
	faster := func(h float64) float64 { return leak(h) + 40*mib*max(h-41, 0) }
	b := leaking(t, 90, faster)
	before := b.the().Worst
	all := ""
	for h := 41.0; h < 90; h += 4 {
		all += b.scan(monday.Add(hours(h))) + "; "
	}
	if !strings.Contains(all, "worse leak mailer") || strings.Contains(all, "opened") {
		t.Errorf("told %q", all)
	}
	if after := b.the().Worst; after < before*1.3 {
		t.Errorf("the worst rate was %.0f and is %.0f", before, after)
	}
	if n := strings.Count(all, "worse"); n > 8 {
		t.Errorf("the same leak was told as worse %d times: %s", n, all)
	}
}

func TestAnOOMKillIsWorse(t *testing.T) {
	b := leaking(t, 60, leak)
	if told := b.scan(monday.Add(hours(41))); told != "seen leak mailer" {
		t.Fatalf("told %q", told)
	}
	b.workers[web.ID][0].Events = []detector.Event{{At: monday.Add(hours(41.5)), Kind: detector.EventOOMKill}}
	if told := b.scan(monday.Add(hours(42))); told != "worse leak mailer" {
		t.Errorf("told %q", told)
	}
	if f := b.the(); f.Severity != finding.Critical || f.OOMKills != 1 {
		t.Errorf("severity %s, kills %d", f.Severity, f.OOMKills)
	}
	if told := b.scan(monday.Add(hours(42.5))); told != "seen leak mailer" {
		t.Errorf("the same kill told as %q", told)
	}
}

func TestMute(t *testing.T) {
	tests := []struct {
		name  string
		until time.Time
		curve func(float64) float64
		at    float64
		want  finding.State
	}{
		{"until a time that has not come", monday.Add(hours(60)), leak, 44, finding.Muted},
		{"until a time that has come", monday.Add(hours(43)), leak, 44, finding.Open},
		{"until worse, and it is not", time.Time{}, leak, 60, finding.Muted},
		{"until worse, and it is", time.Time{}, func(h float64) float64 { return leak(h) + 80*mib*max(h-41, 0) }, 60, finding.Open},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := leaking(t, 70, tt.curve)
			b.limit = 1 << 40 // far, so that only the rate makes it worse
			b.scan(monday.Add(hours(40.5)))
			b.change(b.the().ID, func(f *finding.Finding) {
				if err := f.Mute("U1", tt.until, monday.Add(hours(41))); err != nil {
					t.Fatal(err)
				}
			})
			told := b.scan(monday.Add(hours(tt.at)))
			if f := b.the(); f.State != tt.want {
				t.Errorf("state %s, told %q", f.State, told)
			}
			if woken := strings.Contains(told, "woken"); woken != (tt.want == finding.Open) {
				t.Errorf("told %q", told)
			}
		})
	}
}

// TestFalseAlarm: growth that a person called a false alarm is not told again;
// growth that became faster is.
func TestFalseAlarm(t *testing.T) {
	for name, c := range map[string]struct {
		curve func(float64) float64
		told  bool
	}{
		"the same growth": {leak, false},
		"faster growth":   {func(h float64) float64 { return leak(h) + 80*mib*max(h-42, 0) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := leaking(t, 70, c.curve)
			b.scan(monday.Add(hours(40.5)))
			b.change(b.the().ID, func(f *finding.Finding) {
				if err := f.Dismiss("U1", "a cache that fills", monday.Add(hours(41))); err != nil {
					t.Fatal(err)
				}
			})
			said := ""
			for h := 42.0; h < 66; h += 4 {
				said += b.scan(monday.Add(hours(h)))
			}
			if strings.Contains(said, "opened leak mailer") != c.told {
				t.Errorf("told %q", said)
			}
		})
	}
}

func TestWhatHasNoMessageIsToldAgain(t *testing.T) {
	b := newBed(t, line("mailer", monday, monday.Add(hours(60)), leak))
	b.deaf = true
	for h := 40.0; h < 42; h += 0.5 {
		if told := b.scan(monday.Add(hours(h))); told != "opened leak mailer" {
			t.Fatalf("hour %v: told %q", h, told)
		}
	}
	b.deaf = false
	b.scan(monday.Add(hours(42)))
	if told := b.scan(monday.Add(hours(42.5))); told != "seen leak mailer" {
		t.Errorf("told %q", told)
	}
}

// An end that Slack did not take is told when Slack is back: until then the
// message speaks of trouble that is over.
func TestWhatWasNotToldIsToldAgain(t *testing.T) {
	b := newBed(t)
	b.seen = []history.Presence{{DropletID: web.ID, Last: monday, Interval: time.Minute}}
	b.scan(monday.Add(20 * time.Minute))
	heard := func(minute int) string {
		at := monday.Add(time.Duration(minute) * time.Minute)
		b.seen[0].Last = at
		return b.scan(at)
	}
	for minute := 21; minute < 81; minute++ { // it is over when it has been heard for an hour
		heard(minute)
	}
	for i, want := range []string{"resolved silent", "resolved silent", "resolved silent", ""} {
		if b.deaf = i < 2; heard(81+i) != want {
			t.Errorf("scan %d: told %v, want %q", i, b.told, want)
		}
	}
}

// A droplet whose numbers make the code panic is an error like others.
func TestAPanicIsItsOwn(t *testing.T) {
	b := newBed(t, line("mailer", monday, monday.Add(hours(60)), leak))
	b.fleet = []watch.Droplet{{ID: "0", Name: "web-0"}, web}
	b.fatal = "0"
	if told, err := b.scanned(monday.Add(hours(40))); told != "opened leak mailer" || err == nil || !strings.Contains(err.Error(), "scan web-0: panic: no such sample") {
		t.Errorf("told %q, %v", told, err)
	}
}

// Another replica looks without settling: it tells nobody and opens nothing.
func TestSurvey(t *testing.T) {
	b := newBed(t, line("mailer", monday, monday.Add(hours(60)), leak))
	s, err := b.watch().Survey(t.Context(), monday.Add(hours(40)))
	if err != nil || s.Workers() != 1 || !s.Views[0].Verdicts[0].Kind.Leaks() || len(s.Changes)+len(b.told)+len(b.store.by) != 0 {
		t.Errorf("saw %d workers, told %v, opened %v: %v", s.Workers(), b.told, b.store.by, err)
	}
	b.broken["fleet"] = errors.New("API away")
	if _, err := b.watch().Survey(t.Context(), monday); err == nil {
		t.Error("no error without a list of droplets")
	}
}

// Two replicas scan at the same moment: one finding, told as new by one.
func TestTwoReplicas(t *testing.T) {
	b := newBed(t, line("mailer", monday, monday.Add(hours(60)), leak))
	for h := 40.0; h < 44; h++ {
		var mu sync.Mutex
		told := map[watch.What]int{}
		var wg sync.WaitGroup
		for range 2 {
			w := watch.New(watch.Options{Series: &series{workers: b.workers, droplets: b.droplets}, Findings: b.store,
				Fleet: func(context.Context) (watch.Fleet, error) { return watch.Fleet{Droplets: b.fleet}, nil },
				Changed: func(_ context.Context, c watch.Change) error {
					mu.Lock()
					defer mu.Unlock()
					told[c.What]++
					return nil
				}})
			wg.Go(func() {
				if _, err := w.Scan(t.Context(), monday.Add(hours(h))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		b.change(b.the().ID, func(f *finding.Finding) { f.MessageTS = "1" })
		if h > 40 && told[watch.Opened] > 0 || h == 40 && told[watch.Opened] < 1 {
			t.Errorf("hour %v: told %v", h, told)
		}
	}
}

func TestOneDropletsTroubleIsItsOwn(t *testing.T) {
	b := newBed(t)
	b.fleet = []watch.Droplet{{ID: "0", Name: "web-0"}, web, {ID: "2", Name: "web-2"}}
	b.workers[web.ID] = []detector.Worker{line("mailer", monday, monday.Add(hours(60)), leak)}
	b.broken["0"], b.broken["2"] = errors.New("disk on fire"), errors.New("no such table")
	told, err := b.scanned(monday.Add(hours(40)))
	if told != "opened leak mailer" {
		t.Errorf("told %q", told)
	}
	for _, want := range []string{"web-0", "disk on fire", "web-2", "no such table"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	b.broken["fleet"] = errors.New("API away")
	if _, err := b.scanned(monday.Add(hours(41))); err == nil || !strings.Contains(err.Error(), "API away") {
		t.Errorf("error %v", err)
	}
}

func TestLimits(t *testing.T) {
	const gib = 1 << 30
	host := func(available float64) detector.Droplet {
		return detector.Droplet{ID: web.ID, Total: 8 * gib, Available: []detector.Point{{At: monday.Add(hours(39.9)), V: available}}}
	}
	now := leak(39.9)
	tests := []struct {
		name               string
		configured, cgroup float64
		droplet            *detector.Droplet
		want               float64
		source             string
	}{
		{"configured wins", 3 * gib, 2 * gib, new(host(gib)), 3 * gib, "configured"},
		{"the cgroup's, where it is nearer", 0, 1 * gib, new(host(gib)), gib, "memory.max"},
		{"what the droplet has left, where that is nearer", 0, 6 * gib, new(host(gib)), gib + now, "droplet"},
		{"the droplet's where there is no cgroup limit", 0, 0, new(host(2 * gib)), 2*gib + now, "droplet"},
		{"the cgroup's where the droplet is not known", 0, 6 * gib, nil, 6 * gib, "memory.max"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := line("mailer", monday, monday.Add(hours(40)), leak)
			if tt.cgroup > 0 {
				w.Limit = detector.Limit{Bytes: tt.cgroup, Source: "memory.max"}
			}
			b := newBed(t, w)
			b.limit = tt.configured
			if tt.droplet != nil {
				b.droplets[web.ID] = *tt.droplet
			}
			v, err := b.watch().Look(t.Context(), web, monday.Add(hours(40)))
			if err != nil {
				t.Fatal(err)
			}
			got := v.Workers[0].Limit
			if got.Source != tt.source || math.Abs(got.Bytes-tt.want) > 2*mib {
				t.Errorf("limit %.0f MiB by %s, want %.0f MiB by %s", got.Bytes/mib, got.Source, tt.want/mib, tt.source)
			}
			if e := v.Verdicts[0].Exhaustion; e == nil || e.Limit != got {
				t.Errorf("exhaustion is judged at %+v", e)
			}
		})
	}
}

// Under a time scale an hour of samples counts as days.
func TestScale(t *testing.T) {
	const scale = 240
	real := func(h float64) float64 { return leak(h * scale) }
	w := line("mailer", monday, monday.Add(hours(40.0/scale)), real)
	l := &w.Lives[0]
	l.Samples = nil
	for i := range 600 { // one a second, as an agent under a time scale has it
		l.Samples = append(l.Samples, detector.Sample{At: monday.Add(time.Duration(i) * time.Second), RSS: real(float64(i) / 3600),
			PSS: nan(), USS: nan(), CPU: 1})
	}
	b := newBed(t, w)
	b.scale = scale
	at := monday.Add(10 * time.Minute)
	if told := b.scan(at); told != "opened leak mailer" {
		t.Fatalf("told %q", told)
	}
	if back := at.Sub(b.fromTo[0]); back != 7*24*time.Hour/scale {
		t.Errorf("asked for %v back", back)
	}
	f := b.the()
	if r := f.Verdict.Rate.Value / mib; r < 14 || r > 26 {
		t.Errorf("%.1f MiB an hour, want 20 of scaled time", r)
	}
	if ago := at.Sub(*f.Verdict.Onset); ago < 20*time.Hour || ago > 36*time.Hour {
		t.Errorf("onset %v ago, want 30 h of scaled time", ago)
	}
	if !l.Samples[0].At.Equal(monday) {
		t.Error("the caller's samples were changed")
	}
}
