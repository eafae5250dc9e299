package remedy_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
)

// onlyAsked proposes a snapshot of mail's droplet.
func onlyAsked(t *testing.T, p *process) remedy.View {
	t.Helper()
	v, err := p.s.ProposeSnapshot(t.Context(), p.w.finding("mail"), alice, "before the deploy")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestOnly: one snapshot, by the same people, and nothing else.
func TestOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.agentAway = true // none is needed
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.AllowSelf = false })
		v := onlyAsked(t, p)
		if !v.Only || v.Purpose != "before the deploy" || len(v.Buttons) != 2 {
			t.Errorf("asked %+v", v)
		}
		if again := onlyAsked(t, p); again.Run != v.Run {
			t.Error("asked twice")
		}
		var refused *remedy.Refusal
		if _, err := p.s.Propose(t.Context(), w.finding("mail"), bob); !errors.As(err, &refused) || !strings.Contains(refused.Words, "a snapshot alone") {
			t.Errorf("a restart asked for beside it: %v", err)
		}
		wantRefused(t, decide(t, p, v.Run, click(mallory, remedy.Approve)), remedy.NotApprover)
		wantRefused(t, decide(t, p, v.Run, click(alice, remedy.Approve)), remedy.OwnRequest)
		skip := click(bob, remedy.Skip)
		skip.Reason = "why not"
		wantRefused(t, decide(t, p, v.Run, skip), remedy.NotOffered)
		if a := decide(t, p, v.Run, click(bob, remedy.Approve)); !a.Accepted {
			t.Fatal(a.Refusal)
		}
		r := w.drive(t, v.Run, time.Hour, p)
		if r.Outcome != string(remedy.Snapshotted) || w.count("snapshot") != 1 || w.count("restart") != 0 {
			t.Errorf("ended %q after %d snapshots and %d restarts", r.Outcome, w.count("snapshot"), w.count("restart"))
		}
		v, err := p.s.View(t.Context(), v.Run)
		if err != nil || v.Snapshot == nil || !strings.HasPrefix(v.Snapshot.Name, "dropleak-mail-") || w.findings["f-mail"].State != finding.Open {
			t.Errorf("%+v, %v; the finding is %s", v.Snapshot, err, w.findings["f-mail"].State)
		}
		if kept, err := p.s.Shelf(t.Context()); err != nil || len(kept) != 1 {
			t.Errorf("%d on the shelf, %v", len(kept), err)
		}
	})
}

// TestOnlyEnds: it may be cancelled, it expires, it fails, and it gives way to
// a question that stands.
func TestOnlyEnds(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(t *testing.T, w *world, p *process, run string)
		want remedy.Outcome
	}{
		"declined": {func(t *testing.T, _ *world, p *process, run string) { decide(t, p, run, click(bob, remedy.Cancel)) }, remedy.Cancelled},
		"expired":  {func(*testing.T, *world, *process, string) { time.Sleep(25 * time.Hour) }, remedy.TimedOut},
		"errored": {func(t *testing.T, w *world, p *process, run string) {
			w.snapshotEnds = "errored"
			decide(t, p, run, click(bob, remedy.Approve))
		}, remedy.Failed},
		"rehearsed": {func(t *testing.T, _ *world, p *process, run string) { decide(t, p, run, click(bob, remedy.Approve)) }, remedy.Rehearsed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", func(cfg *remedy.Config, _ *remedy.Deps) { cfg.Rehearse = c.want == remedy.Rehearsed })
				v := onlyAsked(t, p)
				if _, err := p.s.Propose(t.Context(), w.finding("mail"), ""); err != nil {
					t.Fatal(err)
				}
				c.do(t, w, p, v.Run)
				if r := w.drive(t, v.Run, time.Hour, p); r.Outcome != string(c.want) || w.count("restart") != 0 {
					t.Errorf("ended %q after %d restarts", r.Outcome, w.count("restart"))
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		proposed(t, p)
		_, err := p.s.ProposeSnapshot(t.Context(), w.finding("mail"), alice, "")
		if err == nil || !strings.Contains(err.Error(), "answer or cancel it first") {
			t.Errorf("beside a question: %v", err)
		}
	})
}
