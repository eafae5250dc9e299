package remedy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient"
)

// laws checks what must hold at every moment, whatever happened.
func (w *world) laws(ctx context.Context) error {
	runs, err := w.db.Runs(ctx, workflow.Filter{Recipe: remedy.Recipe})
	if err != nil {
		return err
	}
	if w.observer == nil {
		w.observer, w.checked = w.start("observer", nil), map[string]string{}
	}
	p := w.observer
	if err := w.lookUpLeases(runs); err != nil {
		return err
	}
	acting := map[int64]int{}
	for _, r := range runs {
		if r.Live() && r.Step != "ask" && r.Step != "line" {
			var d struct{ Plan remedy.Plan }
			if err := json.Unmarshal(r.Data, &d); err != nil {
				return err
			}
			if acting[d.Plan.DropletID]++; acting[d.Plan.DropletID] > 1 {
				return fmt.Errorf("law 5: %d runs act on one droplet", acting[d.Plan.DropletID])
			}
		}
		if state := fmt.Sprint(r.Version, len(w.deeds)); w.checked[r.ID] == state {
			continue // nothing to see has changed
		} else {
			w.checked[r.ID] = state
		}
		v, err := p.s.View(ctx, r.ID)
		if err != nil {
			return err
		}
		if err := w.lawsOf(ctx, r, v); err != nil {
			return fmt.Errorf("run %s at %s/%s: %w", r.ID, r.Step, r.Outcome, err)
		}
		if err := w.lawsOfLease(ctx, v); err != nil {
			return fmt.Errorf("run %s at %s/%s: %w", r.ID, r.Step, r.Outcome, err)
		}
	}
	return nil
}

// lookUpLeases writes down which runs a lease let go, before any is judged: the
// snapshot of one counts for the others.
func (w *world) lookUpLeases(runs []workflow.Run) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leased == nil {
		w.leased = map[string]string{}
	}
	for _, r := range runs {
		var g struct{ Lease string }
		if len(r.Gate) == 0 {
			continue
		}
		if err := json.Unmarshal(r.Gate, &g); err != nil {
			return err
		}
		if g.Lease != "" {
			w.leased[r.ID] = g.Lease
		}
	}
	return nil
}

func (w *world) lawsOf(ctx context.Context, r workflow.Run, v remedy.View) error {
	sent, err := w.sent(ctx, r.ID)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.kept(r.ID, v); err != nil {
		return err
	}
	snapshots, restarts := 0, 0
	for _, d := range w.deeds {
		if d.run != r.ID {
			continue
		}
		switch d.what {
		case "snapshot":
			snapshots++
		case "restart":
			restarts++
			if err := w.allowed(d, v, sent); err != nil {
				return err
			}
		}
	}
	for _, a := range w.actions {
		if whole := a.Type == doclient.TypeReboot || a.Type == doclient.TypePowerCycle; whole && w.doers[a.ID] == r.ID && !v.Plan.Way.WholeDroplet() {
			return fmt.Errorf("rougher than approved: %s, approved was %s", a.Type, v.Plan.Way)
		}
	}
	if snapshots > 1 || restarts > 1 {
		return fmt.Errorf("law 2: %d snapshots and %d restarts", snapshots, restarts)
	}
	moot := v.Settled != nil && v.Settled.Kind == remedy.Cancel && v.Settled.By == workflow.Self // its finding is over, or it is asked with others
	if s := v.Settled; s != nil && s.By != alice && s.By != bob && !moot && !(w.policed && s.By == remedy.ByPolicy+line) {
		return fmt.Errorf("law 3: decided by %s", s.By)
	}
	byPeople := w.pressed != nil && v.Policy == "" && v.ByLease == ""
	if snapshots+restarts > 0 && byPeople && v.Have < w.quorum { // the observer's own quorum is another
		return fmt.Errorf("law 3: began with %d of the %d people it takes", v.Have, w.quorum)
	}
	return truth(v, restarts, w.snapshotOf(v) != nil)
}

// kept: what a run restarts, and how, stays what was approved.
func (w *world) kept(run string, v remedy.View) error {
	is := promise{v.Plan.Life, v.Plan.Unit, v.Plan.Way, v.Plan.ConfigHash}
	was, known := w.promised[run]
	if !known {
		w.promised[run] = is
	} else if !was.same(is) {
		return fmt.Errorf("law 4: the plan is %+v, was %+v when it was asked", is, was)
	}
	return nil
}

// lawsOfLease: one snapshot for a whole lease, no more restarts than granted,
// and none that was sent after it was revoked or was over.
func (w *world) lawsOfLease(ctx context.Context, v remedy.View) error {
	if v.ByLease == "" {
		return nil
	}
	acts, err := w.db.RunActs(ctx, v.Run)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	snapshots, restarts := 0, 0
	for _, d := range w.deeds {
		if w.leased[d.run] == v.ByLease && d.what == "snapshot" {
			snapshots++
		}
		if w.leased[d.run] == v.ByLease && d.what == "restart" {
			restarts++
		}
	}
	if g, is := w.granted, v.Lease.Terms; g != nil && (g.Below != is.Below || g.Most != is.Most || !g.Until.Equal(is.Until)) {
		return fmt.Errorf("lease: its terms are %+v, granted was %+v", v.Lease.Terms, *g)
	}
	if snapshots > 1 || restarts > v.Lease.Terms.Most {
		return fmt.Errorf("lease: %d snapshots, %d restarts of %d", snapshots, restarts, v.Lease.Terms.Most)
	}
	for _, a := range acts {
		if strings.HasPrefix(a.Name, "restart") && !a.Sent.IsZero() && w.unsent[v.Run] {
			return fmt.Errorf("lease: restart sent at %v, after it was revoked at %v", a.Sent, v.Lease.Revoked.At)
		}
		late := v.Lease.Revoked != nil && a.Sent.After(v.Lease.Revoked.At) || a.Sent.After(v.Lease.Terms.Until.Add(time.Minute))
		if strings.HasPrefix(a.Name, "restart") && late {
			return fmt.Errorf("lease: restart sent at %v, revoked %+v, until %v", a.Sent, v.Lease.Revoked, v.Lease.Terms.Until)
		}
	}
	return nil
}

// allowed is laws 1 and 4 for one restart.
func (w *world) allowed(d deed, v remedy.View, sent time.Time) error {
	if !d.old.Same(v.Old) {
		return fmt.Errorf("law 4: ended life %v, approved was %v", d.old, v.Old)
	}
	if gone := d.gone - d.at.Sub(sent); w.keeps && v.Plan.Worker == "mail" && gone > lookGood {
		return fmt.Errorf("law 5: the order left when the other worker of its queue had been missing for %v", gone)
	}
	if v.Settled == nil {
		return fmt.Errorf("law 1: restarted with nobody's approval")
	}
	if sent.IsZero() {
		return fmt.Errorf("law 1: restarted at %v, and no order was marked as sent", d.at)
	}
	if err := w.letGo(v, sent); err != nil {
		return err
	}
	if v.Skip != nil && v.Skip.Reason != "" {
		if n := w.approvers(v.Run, remedy.Skip); w.pressed != nil && n < w.quorum {
			return fmt.Errorf("law 1: restarted without a snapshot, as %d of %d people wanted", n, w.quorum)
		}
		return nil
	}
	s := w.snapshotOf(v)
	if s == nil || s.CompletedAt.After(d.at) {
		return fmt.Errorf("law 1: restarted at %v without a finished snapshot", d.at)
	}
	return nil
}

// letGo is law 3 for one restart whose order left at sent: who wanted it, and
// when. Whoever looked may take a minute until the order leaves; what the order
// takes from there is the world's.
func (w *world) letGo(v remedy.View, sent time.Time) error {
	before := sent.Add(-lookGood)
	later := slices.ContainsFunc(v.Votes, func(x remedy.Vote) bool { return x.Kind == remedy.Later })
	if later && w.quiet(sent).After(sent) && w.quiet(before).After(before) {
		return fmt.Errorf("law 3: approved for the quiet window and restarted at %v", sent)
	}
	switch {
	case w.pressed == nil:
		return nil
	case v.ByLease != "":
		if n := w.approvers(strings.TrimPrefix(v.ByLease, "lease-"), remedy.Grant); n < w.quorum {
			return fmt.Errorf("law 3: restarted under a lease that %d of %d people granted", n, w.quorum)
		}
	case v.Policy != "":
		if off := w.policyOff; !off.IsZero() && off.Before(before) || !early(sent) && !early(before) {
			return fmt.Errorf("law 3: restarted by policy at %v, which was off at %v", sent, off)
		}
	default:
		if n := w.approvers(v.Run, remedy.Approve, remedy.Later, remedy.Skip); n < w.quorum {
			return fmt.Errorf("law 3: restarted as %d of %d people wanted", n, w.quorum)
		}
	}
	return nil
}

// lookGood is how long a look may be back when the order leaves.
const lookGood = time.Minute

// sent is when the run's restart order left; zero: it has not.
func (w *world) sent(ctx context.Context, run string) (at time.Time, err error) {
	acts, err := w.db.RunActs(ctx, run)
	for _, a := range acts {
		if strings.HasPrefix(a.Name, "restart") && a.Sent.After(at) {
			at = a.Sent
		}
	}
	return at, err
}

type made struct{ CompletedAt time.Time }

// snapshotOf returns when the snapshot was truly finished that was made for the
// run, or for another of its lease. Whose it is, is known where each process does
// one thing at a time, as in the random runs.
func (w *world) snapshotOf(v remedy.View) *made {
	for _, a := range w.actions {
		own := w.pressed == nil || w.doers[a.ID] == v.Run || v.ByLease != "" && w.leased[w.doers[a.ID]] == v.ByLease
		if own && w.names[a.ID] == v.SnapshotName && a.Status == "completed" {
			return &made{a.CompletedAt}
		}
	}
	return nil
}

// truth is law 6: what a view says is so.
func truth(v remedy.View, restarts int, snapshotted bool) error {
	says := func(wrong bool, what string) error {
		if wrong {
			return fmt.Errorf("law 6: the view says %s", what)
		}
		return nil
	}
	has := func(k remedy.Kind) bool {
		return slices.ContainsFunc(v.Buttons, func(b remedy.Button) bool { return b.Kind == k })
	}
	for _, err := range []error{
		says(v.Snapshot != nil && !snapshotted, "there is a snapshot, and there is none"),
		says(v.Outcome.Restarted() && restarts == 0, "restarted, and nothing was"),
		says(restarts > 0 && (v.Outcome == remedy.Failed || v.Outcome == remedy.Overtaken || v.Outcome == remedy.Cancelled), string(v.Outcome)+", and it was restarted"),
		says(v.Settled != nil && has(remedy.Approve), "approve may be pressed, after it was settled"),
		says(v.Outcome != "" && (has(remedy.Approve) || has(remedy.Skip) || has(remedy.Cancel) || has(remedy.NotNow)), "an ended run may be decided"),
		says(has(remedy.DeleteSnapshot) && (v.Snapshot == nil || v.Disposal != ""), "a snapshot may be deleted that is not there"),
		says(has(remedy.Cancel) && restarts > 0, "cancel may be pressed, after the restart"),
		says(v.Outcome == remedy.Failed && (v.Why == "" || v.State == ""), "failed without saying why and what now"),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// final checks that the channel's last view of a run is its last state.
func (w *world) final(r workflow.Run) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range slices.Backward(w.views) {
		if v.Run != r.ID {
			continue
		}
		if string(v.Outcome) != r.Outcome {
			return fmt.Errorf("law 6: the channel shows %q, the run is %q", v.Outcome, r.Outcome)
		}
		if v.Version != r.Version {
			return fmt.Errorf("law 6: the channel shows version %d, the run is at %d", v.Version, r.Version)
		}
		return nil
	}
	return fmt.Errorf("law 6: the channel never saw run %s", r.ID)
}

// settled reports whether nothing more is going to be told of an ended run.
func settled(r workflow.Run) bool {
	return !r.Live() && !r.Unannounced() && r.EchoAt.IsZero() && r.Owner == ""
}

// drive lets processes work, and time pass, until the run has ended and been
// shown, or the time is over.
func (w *world) drive(t *testing.T, id string, within time.Duration, ps ...*process) workflow.Run {
	t.Helper()
	r, err := w.pass(t.Context(), id, within, ps...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// pass is drive with the first broken law as its error.
func (w *world) pass(ctx context.Context, id string, within time.Duration, ps ...*process) (workflow.Run, error) {
	for start := time.Now(); time.Since(start) < within; time.Sleep(w.nap(ctx, within-time.Since(start))) {
		for _, p := range ps {
			for !p.dead.Load() && !p.frozen.Load() {
				worked, err := p.s.Once(ctx)
				if err != nil || !worked {
					break
				}
				if err := w.laws(ctx); err != nil {
					return workflow.Run{}, err
				}
			}
		}
		if r, err := w.db.Run(ctx, id); err == nil && settled(r) {
			return r, nil
		}
	}
	return w.db.Run(ctx, id)
}

// nap is how long nothing will happen, at most the time that is left.
func (w *world) nap(ctx context.Context, left time.Duration) time.Duration {
	const short = 5 * time.Second
	runs, err := w.db.Runs(ctx, workflow.Filter{})
	runs = slices.DeleteFunc(runs, settled)
	if err != nil || len(runs) == 0 {
		return short
	}
	nap := max(left, short)
	for _, r := range runs {
		if r.Owner != "" || r.Unannounced() {
			return short
		}
		for _, at := range []time.Time{r.Due, r.EchoAt} {
			if !at.IsZero() {
				nap = min(nap, time.Until(at))
			}
		}
	}
	return max(nap, short)
}

// story is the journal of steps as text, for messages.
func (w *world) story() string {
	var b strings.Builder
	for _, e := range w.store.Journal() {
		fmt.Fprintf(&b, "%s %s %s %q → %q (%s)\n", e.Who, e.What, e.Subject, e.Before, e.After, e.Why)
	}
	return b.String()
}
