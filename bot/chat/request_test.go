package chat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

// live are the findings that stand.
func (d *desk) live() []finding.Finding {
	d.t.Helper()
	found, err := d.store.Findings(d.t.Context(), finding.Filter{Live: true})
	if err != nil {
		d.t.Fatal(err)
	}
	return found
}

// TestRequestRefused: what cannot be put leaves nothing behind.
func TestRequestRefused(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.far.unset = true
		wantText(t, "the answer", d.say(carla, "/leaks restart web-slow").PlainText(), "No way to restart web-slow on web-1 is configured")
		if found, err := d.store.Findings(t.Context(), finding.Filter{}); err != nil || len(found) != 0 {
			t.Errorf("a refused request left %+v, %v", found, err)
		}
		if n := len(d.sim.Messages(ops)); n != 0 {
			t.Errorf("%d messages in the channel", n)
		}
	})
}

// TestRequestIsNoLeak: a worker whose restart is asked for leaks nowhere, and
// the request ends with its run, however that goes.
func TestRequestIsNoLeak(t *testing.T) {
	for name, c := range map[string]struct {
		ask  string
		ends func(d *desk, f finding.Finding)
		says string
	}{
		"cancelled":   {"snapshot", func(d *desk, f finding.Finding) { d.press(anna, f.ID, report.ActionCancel) }, "Cancelled"},
		"not now":     {"restart", func(d *desk, f finding.Finding) { d.press(anna, f.ID, report.ActionNotNow) }, "Not now"},
		"nobody says": {"restart", func(d *desk, _ finding.Finding) { d.nap(3*time.Hour, time.Minute) }, "Nobody decided in time"},
		"restarted": {"restart", func(d *desk, f finding.Finding) {
			d.press(anna, f.ID, report.ActionRestart)
			d.rest(30 * time.Minute)
		}, "Memory freed, worker working"},
		"came back bad": {"restart", func(d *desk, f finding.Finding) {
			d.far.down = true
			d.press(anna, f.ID, report.ActionRestart)
			d.rest(30 * time.Minute)
		}, "NOT RUNNING"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				d.say(carla, "/leaks "+c.ask+" web-slow")
				found := d.live()
				if len(found) != 1 || found[0].Subject.Kind != finding.KindRequest {
					t.Fatalf("%+v", found)
				}
				for _, line := range []string{"/leaks", "/leaks report all", "/leaks history"} {
					wantNoText(t, line, d.say(carla, line).PlainText(), "web-slow", "1 leaking")
				}
				c.ends(d, found[0])
				f, m := d.message(found[0].ID)
				if !f.State.Final() {
					t.Errorf("the request is %s", f.State)
				}
				wantText(t, "its message", m.PlainText(), c.says)
				if offers(m, report.ActionAskAgain) {
					t.Error("the message of what is over offers another restart")
				}
			})
		})
	}
}

// TestRequestOfOld: a leak that a former release opened for a request ends by
// itself, a request whose run never began too, and a real leak does not.
func TestRequestOfOld(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		leaks, _ := d.opened("mail")
		old := leak(d.far.view(), "web")
		old.ID, old.By, old.State, old.Verdict = "f-old", carla, finding.Acknowledged, detector.Verdict{Kind: detector.Healthy, Reason: detector.ReasonFlat}
		lost := old
		lost.ID, lost.Subject.Kind, lost.RunID = "f-lost", finding.KindRequest, "r-never"
		for _, f := range []finding.Finding{old, lost} {
			if err := d.store.OpenFinding(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		wantNoText(t, "the report", d.say(carla, "/leaks").PlainText(), "2 leaking")
		if err := d.chat.EndRequests(t.Context()); err != nil || len(d.live()) != 3 {
			t.Fatalf("at once: %v, %d live", err, len(d.live()))
		}
		d.rest(2 * time.Minute)
		if err := d.chat.Recall(t.Context()); err != nil {
			t.Fatal(err)
		}
		if found := d.live(); len(found) != 1 || found[0].ID != leaks.ID {
			t.Errorf("left %+v", found)
		}
	})
}

// TestRequestTakenOver: one that lost its run carries the next one, and a leak
// that is found meanwhile is a finding of its own.
func TestRequestTakenOver(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		lost := leak(d.far.view(), "web-slow")
		lost.ID, lost.Subject.Kind, lost.RunID, lost.State = "f-lost", finding.KindRequest, "r-never", finding.Acknowledged
		lost.Updated = time.Now().Add(-time.Hour)
		if err := d.store.OpenFinding(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
		d.say(carla, "/leaks restart web-slow")
		if v, found := d.run(), d.live(); v.Finding != "f-lost" || len(found) != 1 || found[0].RunID != v.Run {
			t.Fatalf("the run is about %s; live %+v", v.Finding, found)
		} else if age := time.Since(found[0].Updated); age > 30*time.Second {
			t.Errorf("it looks as if it stood for %v without its run", age)
		}
		f, _ := d.opened("web-slow")
		d.tell(watch.Opened, f.ID)
		d.press(anna, "f-lost", report.ActionNotNow)
		if found := d.live(); len(found) != 1 || found[0].ID != f.ID || found[0].State != finding.Open {
			t.Errorf("left %+v", found)
		}
	})
}

// TestRequestGone: the question about a worker that is no longer watched ends.
func TestRequestGone(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.say(carla, "/leaks restart web-slow")
		f, err := finding.Change(t.Context(), d.store, d.live()[0].ID, func(f *finding.Finding) error { return f.Leave("left the fleet", time.Now()) })
		if err != nil {
			t.Fatal(err)
		}
		if err := d.rem.Heed(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		d.rest(time.Minute)
		if v := d.run(); v.Outcome == "" {
			t.Error("the question stands")
		}
	})
}

func wantNoText(t *testing.T, what, got string, banned ...string) {
	t.Helper()
	for _, b := range banned {
		if strings.Contains(got, b) {
			t.Errorf("%s says %q:\n%s", what, b, got)
		}
	}
}
