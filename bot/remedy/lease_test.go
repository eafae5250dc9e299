package remedy_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/workflow"
)

// granted answers mail's question with a lease and returns its id.
func granted(t *testing.T, p *process, most int) string {
	t.Helper()
	run := proposed(t, p)
	a := decide(t, p, run, lease(alice, 8*time.Hour, most))
	if !a.Accepted {
		t.Fatalf("grant: %v", a.Refusal)
	}
	if r := p.w.drive(t, run, time.Minute, p); r.Outcome != string(remedy.Leased) {
		t.Fatalf("the question ended %q", r.Outcome)
	}
	return "lease-" + run
}

func lease(by string, for_ time.Duration, most int) remedy.Decision {
	d := click(by, remedy.Grant)
	d.Terms = &remedy.Terms{Below: time.Hour, Until: time.Now().Add(for_), Most: most}
	return d
}

// leak has mail judged as leaking with some time left, and lets time pass.
func leak(t *testing.T, p *process, lease string, left, then time.Duration) {
	t.Helper()
	heed(t, p, time.Now().Add(left)) // its growth began 5 h ago
	p.w.drive(t, lease, then, p)
}

func newest(t *testing.T, p *process) remedy.View {
	t.Helper()
	v := p.w.views[len(p.w.views)-1]
	v, err := p.s.View(t.Context(), v.Run)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestLease: one approval, two restarts, one snapshot, and every restart only
// when too little is left of the life that runs now.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		id := granted(t, p, 2)
		if f := w.findings["f-mail"]; f.State != finding.Acknowledged || f.By != alice {
			t.Errorf("the finding is %s by %s", f.State, f.By)
		}
		again := func(want int, why string) {
			t.Helper()
			if n := w.count("restart"); n != want {
				t.Fatalf("%s: %d restarts, want %d", why, n, want)
			}
		}
		leak(t, p, id, 3*time.Hour, time.Minute)
		again(0, "three hours are left")
		leak(t, p, id, 50*time.Minute, 30*time.Minute)
		again(1, "too little is left")
		leak(t, p, id, 10*time.Minute, 30*time.Minute)
		again(1, "what is judged is the old life")
		time.Sleep(5 * time.Hour)
		leak(t, p, id, 50*time.Minute, 30*time.Minute)
		again(2, "it grew again")
		if n := w.count("snapshot"); n != 1 {
			t.Errorf("%d snapshots for one lease", n)
		}
		v := newest(t, p)
		if v.Lease == nil || v.Lease.End != remedy.LeaseUsedUp || v.Lease.Used != 2 || v.ByLease != id || v.Settled.By != alice {
			t.Errorf("lease %+v", v.Lease)
		}
		if story := w.story(); !strings.Contains(story, "restart when less than 1h0m0s is left") || strings.Count(story, "lease of 2000-01-01T00:00:00Z") != 2 {
			t.Errorf("the journal:\n%s", story)
		}
		shelf, err := p.s.Shelf(t.Context())
		if err != nil || len(shelf) != 1 {
			t.Errorf("%d snapshots on the shelf, %v", len(shelf), err)
		}
	})
}

// TestLeaseRevoked: by those who may, also in the middle of a run, whose
// restart is then not sent.
func TestLeaseRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		id := granted(t, p, 2)
		leak(t, p, id, 30*time.Minute, 5*time.Minute)
		if w.count("snapshot") != 1 {
			t.Fatal("no run is under way")
		}
		wantRefused(t, decide(t, p, id, click(mallory, remedy.Revoke)), remedy.NotApprover)
		if a := decide(t, p, id, click(bob, remedy.Revoke)); !a.Accepted || !strings.Contains(a.Words, "cancelled") {
			t.Errorf("revoke: %+v", a)
		}
		wantRefused(t, decide(t, p, id, click(alice, remedy.Revoke)), remedy.Over)
		if r := w.drive(t, id, time.Hour, p); r.Outcome != string(remedy.LeaseRevoked) || w.count("restart") != 0 {
			t.Errorf("the lease ended %q after %d restarts", r.Outcome, w.count("restart"))
		}
		wantRefused(t, decide(t, p, "lease-none", click(bob, remedy.Revoke)), remedy.NoRun)
	})
}

// TestLeaseEnds: by its time, by a restart that did not help, and by the loss
// of the snapshot it counts on.
func TestLeaseEnds(t *testing.T) {
	for name, c := range map[string]struct {
		before func(w *world)
		want   remedy.LeaseEnd
		most   int // restarts
	}{
		"time":          {func(w *world) { w.lock(func() { w.findings = map[string]finding.Finding{} }) }, remedy.LeaseOver, 0},
		"not freed":     {weathers["not freed"], remedy.LeaseFailed, 1},
		"dies":          {weathers["dies"], remedy.LeaseFailed, 1},
		"no snapshot":   {weathers["errored"], remedy.LeaseFailed, 0},
		"snapshot gone": {nil, remedy.LeaseFailed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", nil)
				id := granted(t, p, 5)
				if c.before != nil {
					c.before(w)
				}
				if name != "time" {
					leak(t, p, id, 30*time.Minute, time.Hour)
				}
				if c.before == nil {
					w.lock(func() { w.snaps = nil })
					time.Sleep(5 * time.Hour)
					leak(t, p, id, 30*time.Minute, time.Hour)
				}
				r := w.drive(t, id, 9*time.Hour, p)
				if r.Outcome != string(c.want) || w.count("restart") != c.most {
					t.Errorf("ended %q after %d restarts", r.Outcome, w.count("restart"))
				}
			})
		})
	}
}

// TestLeaseTerms: with a quorum all have to want the same; senseless terms and
// a second lease are refused.
func TestLeaseTerms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.Quorum = 2 })
		run := proposed(t, p)
		for _, d := range []remedy.Decision{click(alice, remedy.Grant), lease(alice, -time.Hour, 2), lease(alice, 80*time.Hour, 2), lease(alice, time.Hour, 0), lease(alice, time.Hour, 11)} {
			wantRefused(t, decide(t, p, run, d), remedy.CannotTell)
		}
		wantRefused(t, decide(t, p, run, lease(mallory, time.Hour, 2)), remedy.NotApprover)
		decide(t, p, run, lease(alice, time.Hour, 2))
		wantRefused(t, decide(t, p, run, lease(alice, time.Hour, 2)), remedy.AskedAlready)
		if a := decide(t, p, run, lease(bob, time.Hour, 3)); !a.Accepted || a.View.Settled != nil {
			t.Errorf("other terms: %+v", a)
		}
		if a := decide(t, p, run, lease(alice, time.Hour, 3)); !a.Accepted || a.View.Settled == nil {
			t.Errorf("the same terms: %+v", a)
		}
		w.drive(t, run, time.Minute, p)
		wantRefused(t, decide(t, p, proposed(t, p), lease(alice, time.Hour, 3)), remedy.Decided)
	})
}

// TestLeaseHoldsItsSnapshot: nothing deletes or expires what a lease counts
// on, and afterwards it goes like any other.
func TestLeaseHoldsItsSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.MaxAge = time.Minute })
		id := granted(t, p, 2)
		leak(t, p, id, 30*time.Minute, time.Hour)
		run := newest(t, p).Run
		wantRefused(t, decide(t, p, run, click(alice, remedy.DeleteSnapshot)), remedy.TooLate)
		tidied(t, w, p, 0)
		w.drive(t, id, 9*time.Hour, p)
		tidied(t, w, p, 1)
	})
}

// TestLeaseCovers: a run that its lease does not cover any more by the time
// its snapshot is there restarts nothing.
func TestLeaseCovers(t *testing.T) {
	for name, c := range map[string]struct {
		before time.Duration // it sleeps
		change func(w *world)
		want   remedy.LeaseEnd
	}{
		"its time is over":       {7*time.Hour + 55*time.Minute, func(*world) {}, remedy.LeaseOver},
		"the way is another now": {0, func(w *world) { w.choice.ConfigHash = "other" }, remedy.LeaseFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", nil)
				id := granted(t, p, 5)
				time.Sleep(c.before)
				w.lock(func() { c.change(w) })
				leak(t, p, id, 30*time.Minute, 2*time.Hour)
				if r := w.drive(t, id, time.Minute, p); r.Outcome != string(c.want) || w.count("snapshot") != 1 || w.count("restart") != 0 {
					t.Errorf("ended %q after %d snapshots and %d restarts", r.Outcome, w.count("snapshot"), w.count("restart"))
				}
			})
		})
	}
}

// forgetful is a store that cannot read one run while it is told so.
type forgetful struct {
	workflow.Store
	run string
}

func (s *forgetful) Run(ctx context.Context, id string) (workflow.Run, error) {
	if id == s.run {
		return workflow.Run{}, errLost
	}
	return s.Store.Run(ctx, id)
}

// TestLeaseNeedsTheSnapshotsTime: how long the first restart has to wait for
// its snapshot is not guessed when it cannot be read, but asked again.
func TestLeaseNeedsTheSnapshotsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		store := &forgetful{Store: w.db}
		w.db = store
		p := w.start("a", nil)
		id := granted(t, p, 1)
		heed(t, p, time.Now().Add(65*time.Minute)) // less than the hour and the snapshot
		store.run = strings.TrimPrefix(id, "lease-")
		for range 24 { // the laws, too, read every run: no drive
			for worked, err := p.s.Once(t.Context()); worked && err == nil; {
				worked, err = p.s.Once(t.Context())
			}
			time.Sleep(5 * time.Second)
		}
		r, err := store.Store.Run(t.Context(), id)
		if err != nil || r.Tries == 0 || !strings.Contains(r.Trouble, "how long the snapshot of lease") {
			t.Errorf("while that cannot be read, the lease tried %d times, trouble %q, %v", r.Tries, r.Trouble, err)
		}
		store.run = ""
		if r := w.drive(t, id, 3*time.Minute, p); r.Trouble != "" {
			t.Errorf("once it can be read, there is still %q", r.Trouble)
		}
	})
}

// TestLeaseHasNoRoom: a process that slept may begin a run when the lease's
// restarts were used up meanwhile. It restarts nothing.
func TestLeaseHasNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		id := granted(t, p, 1)
		var first workflow.Run
		heed(t, p, time.Now().Add(30*time.Minute))
		for first.ID == "" || first.Live() { // and no further: then the lease would end
			w.drive(t, id, time.Second, p)
			if runs, err := w.db.Runs(t.Context(), workflow.Filter{Recipe: remedy.Recipe}); err != nil {
				t.Fatal(err)
			} else if len(runs) == 2 { // the question that was answered with the lease is one
				first, _ = w.db.Run(t.Context(), newest(t, p).Run)
			}
		}
		v, err := p.s.Propose(t.Context(), leaking(w, time.Minute, 30*time.Minute), "")
		if err != nil || v.Run == first.ID || first.Outcome != string(remedy.FreedWorking) {
			t.Fatalf("the first ended %q, then %q was begun; %v", first.Outcome, v.Run, err)
		}
		r, err := w.db.Run(t.Context(), v.Run)
		if err != nil {
			t.Fatal(err)
		}
		vote := remedy.Vote{By: alice, Kind: remedy.Approve, At: time.Now()}
		gate, err := json.Marshal(map[string]any{"votes": []remedy.Vote{vote}, "settled": vote, "lease": id})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.db.DecideRun(t.Context(), v.Run, r.GateVersion, gate, time.Now()); err != nil {
			t.Fatal(err)
		}
		if r := w.drive(t, v.Run, time.Hour, p); r.Outcome != string(remedy.Overtaken) || w.count("restart") != 1 {
			t.Errorf("the second ended %q after %d restarts", r.Outcome, w.count("restart"))
		}
	})
}
