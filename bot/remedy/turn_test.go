package remedy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
)

// TestOneAtATime: two approved runs on one droplet do not act together, and
// the second says what it waits for.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.Limits.Fleet = 1 })
		first := approved(t, p)
		w.drive(t, first, time.Second, p)
		v, err := p.s.Propose(t.Context(), w.finding("web"), "")
		if err != nil {
			t.Fatal(err)
		}
		if a, err := p.s.Decide(t.Context(), v.Run, click(alice, remedy.Approve)); err != nil || !a.Accepted {
			t.Fatalf("%+v, %v", a, err)
		}
		w.drive(t, first, time.Minute, p)
		if v, err = p.s.View(t.Context(), v.Run); err != nil || v.Step != "line" || len(v.Ahead) != 1 || v.Ahead[0] != first || v.Why == "" {
			t.Errorf("second in line: at %s behind %q, %q, %v", v.Step, v.Ahead, v.Why, err)
		}
		if r := w.drive(t, first, 2*time.Hour, p); r.Outcome != string(remedy.FreedWorking) {
			t.Errorf("first: %q", r.Outcome)
		}
		if r := w.drive(t, v.Run, 2*time.Hour, p); r.Outcome != string(remedy.FreedWorking) || w.count("restart") != 2 {
			t.Errorf("second: %q\n%s", r.Outcome, w.story())
		}
	})
}

// standInLine approves a run of each worker, in order, a second apart.
func standInLine(t *testing.T, w *world, p *process, workers ...string) (runs []string) {
	for _, name := range workers {
		v, err := p.s.Propose(t.Context(), w.finding(name), "")
		if err != nil {
			t.Fatal(err)
		}
		if a := decide(t, p, v.Run, click(alice, remedy.Approve)); !a.Accepted {
			t.Fatalf("%s: %v", name, a.Refusal)
		}
		w.drive(t, v.Run, time.Second, p)
		runs = append(runs, v.Run)
	}
	return runs
}

// TestFirstComeFirstServed: whoever stands in line is served in the order of
// coming, however often the others look whose turn it is, and a cancelled one
// holds nobody up.
func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for _, name := range []string{"pdf", "sms", "push"} {
			w.newLife(name)
		}
		p := w.start("a", nil)
		// The later somebody came, the more often he looks.
		runs := standInLine(t, w, p, "mail", "web", "pdf", "sms", "push")
		v, err := p.s.View(t.Context(), runs[3])
		if err != nil || len(v.Ahead) != 2 || v.Ahead[0] != runs[1] || v.Ahead[1] != runs[2] {
			t.Errorf("the fourth stands behind %q, want %q; %v", v.Ahead, runs[1:3], err)
		}
		if a := decide(t, p, runs[2], click(bob, remedy.Cancel)); !a.Accepted {
			t.Fatal(a.Refusal)
		}
		for _, id := range runs {
			w.drive(t, id, 3*time.Hour, p)
		}
		var order []string
		for _, d := range w.deeds {
			if d.what == "restart" {
				order = append(order, d.run)
			}
		}
		if want := append(slices.Clone(runs[:2]), runs[3:]...); !slices.Equal(order, want) {
			t.Errorf("restarted in the order %q, want %q\n%s", order, want, w.story())
		}
	})
}

// TestDiedWithItsPlaces: a run whose owner died after it had taken its places
// goes on, even before one that came in the same moment: two that each wait
// for the other would wait for ever.
func TestDiedWithItsPlaces(t *testing.T) {
	for range 8 { // the ids, which settle who came first, are random
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			p, q := w.start("a", nil), w.start("b", nil)
			var runs []string
			for _, name := range []string{"mail", "web"} {
				v, err := p.s.Propose(t.Context(), w.finding(name), "")
				if err != nil {
					t.Fatal(err)
				}
				decide(t, p, v.Run, click(alice, remedy.Approve))
				runs = append(runs, v.Run)
			}
			p.choose = func(what string) fault {
				if what == "store save evidence" {
					return crashBefore
				}
				return none
			}
			for _, id := range runs {
				w.drive(t, id, 5*time.Minute, p, q)
			}
			for _, id := range runs {
				if r := w.drive(t, id, 5*time.Hour, q); r.Live() {
					t.Errorf("run still at %s\n%s", r.Step, w.story())
				}
			}
		})
	}
}

// TestLimits: who waits for whom, and what the one who waits says.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits remedy.Limits
		other  finding.Subject
		says   string // why the second waits; empty: it need not
	}{
		{"another droplet", remedy.Limits{}, finding.Subject{DropletID: "43", Worker: "web"}, ""},
		{"the fleet is full", remedy.Limits{Fleet: 1}, finding.Subject{DropletID: "43", Worker: "web"}, "at most 1 at a time may be at work over the fleet"},
		{"the fleet has room", remedy.Limits{Fleet: 2}, finding.Subject{DropletID: "43", Worker: "web"}, ""},
		{"a tag is full", remedy.Limits{Tags: map[string]int{"shop": 1}}, finding.Subject{DropletID: "43", Worker: "web"}, "droplets tagged shop"},
		{"another tag is full", remedy.Limits{Tags: map[string]int{"batch": 1}}, finding.Subject{DropletID: "43", Worker: "web"}, ""},
		{"a worker of the same name", remedy.Limits{SameWorker: 1}, finding.Subject{DropletID: "43", Worker: "mail"}, "the others serve its queues"},
		{"a worker of another name", remedy.Limits{SameWorker: 1}, finding.Subject{DropletID: "43", Worker: "web"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", func(cfg *remedy.Config, d *remedy.Deps) {
					cfg.Limits = c.limits
					d.Tags = func(context.Context, int64) ([]string, error) { return []string{"dropleak", "shop"}, nil }
				})
				first := standInLine(t, w, p, "mail")[0]
				f := w.finding("other")
				f.Subject = c.other
				f.Subject.Kind = finding.KindLeak
				v, err := p.s.Propose(t.Context(), f, "")
				if err != nil {
					t.Fatal(err)
				}
				decide(t, p, v.Run, click(alice, remedy.Approve))
				w.drive(t, first, 20*time.Second, p)
				v, err = p.s.View(t.Context(), v.Run)
				waits := v.Step == "line" && len(v.Ahead) == 1 && v.Ahead[0] == first
				if err != nil || waits != (c.says != "") || !strings.Contains(v.Why, c.says) {
					t.Errorf("at %s behind %q: %q, %v", v.Step, v.Ahead, v.Why, err)
				}
			})
		})
	}
}
