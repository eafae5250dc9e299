package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/workflow"
)

// Decisions about a lease: one approval that lets a worker be kept alive.
const (
	Grant  Kind = "grant_lease"  // instead of a restart now; with Terms
	Revoke Kind = "revoke_lease" // at any time; the decision is on the lease's id
)

// Leased is the outcome of a question that was answered with a lease.
const Leased Outcome = "leased"

// Terms are what a lease allows.
type Terms struct {
	Below time.Duration `json:"below"` // restart when less is left until memory runs out
	Until time.Time     `json:"until"`
	Most  int           `json:"most"` // restarts
}

// The bounds of terms.
const (
	longestLease = 72 * time.Hour
	mostRestarts = 10
)

// same reports whether both allow the same.
func (t *Terms) same(o *Terms) bool {
	return t != nil && o != nil && t.Below == o.Below && t.Most == o.Most && t.Until.Equal(o.Until)
}

func (t Terms) check(now time.Time) *Refusal {
	switch {
	case t.Below < time.Minute:
		return refuse(CannotTell, "A lease needs a time that is left, of a minute at least.")
	case !t.Until.After(now) || t.Until.After(now.Add(longestLease)):
		return refuse(CannotTell, "A lease ends within %d hours from now.", int(longestLease.Hours()))
	case t.Most < 1 || t.Most > mostRestarts:
		return refuse(CannotTell, "A lease allows 1 to %d restarts.", mostRestarts)
	}
	return nil
}

// leaseRecipe is a lease: a run of its own, so that it is held by one process
// at a time, survives it, and is journalled.
const leaseRecipe = "lease"

// LeaseEnd is how a lease ended.
type LeaseEnd string

// The ends of a lease.
const (
	LeaseOver    LeaseEnd = "over"    // its time
	LeaseUsedUp  LeaseEnd = "used_up" // its restarts
	LeaseFailed  LeaseEnd = "failed_verification"
	LeaseRevoked LeaseEnd = "revoked" // by a person, who may have cancelled a run of it
)

const stepHold = "hold"

// leaseData is a lease as granted.
type leaseData struct {
	Run     string    `json:"run"` // whose question it answered
	Finding string    `json:"finding"`
	Plan    Plan      `json:"plan"` // its life is not bound: a lease is for lives to come
	Terms   Terms     `json:"terms"`
	By      []Vote    `json:"by"`
	Granted time.Time `json:"granted"`
	Why     string    `json:"why,omitempty"`
}

type leaseGate struct {
	Revoked *Vote `json:"revoked,omitempty"`
}

// Lease is a lease to show.
type Lease struct {
	ID       string
	Terms    Terms
	By       []Vote
	Used     int      // restarts begun under it
	End      LeaseEnd // empty: it holds
	Ended    time.Time
	Why      string
	Revoked  *Vote
	Snapshot *Snapshot // the one it counts on; nil: none yet
}

// leaseID names the lease that a question was answered with.
func leaseID(run string) string { return leaseRecipe + "-" + run }

func (s *Service) leases() workflow.Recipe {
	ends := []string{string(LeaseOver), string(LeaseUsedUp), string(LeaseFailed), string(LeaseRevoked)}
	return workflow.Recipe{Name: leaseRecipe, First: stepHold, Announce: s.announceLease,
		Steps: map[string]workflow.Step{stepHold: {Do: s.hold, Next: ends}}}
}

// announceLease shows a lease with the newest run about its worker: a lease
// has no message of its own.
func (s *Service) announceLease(ctx context.Context, r workflow.Run) error {
	var d leaseData
	if err := json.Unmarshal(r.Data, &d); err != nil {
		return err
	}
	runs, err := s.leaseRuns(ctx, r.ID, d)
	if err != nil {
		return err
	}
	id := d.Run
	if len(runs) > 0 {
		id = runs[0].r.ID
	}
	return s.d.Store.RetellRun(ctx, id)
}

// grant begins the lease that a question was answered with; again is the same.
func (s *Service) grant(ctx context.Context, w *work) (workflow.Next, error) {
	d := leaseData{Run: w.d.Run, Finding: w.d.Finding, Plan: w.d.Plan, Terms: *w.g.Terms, Granted: w.g.Settled.At}
	for _, v := range w.g.Votes {
		if v.Kind == Grant {
			d.By = append(d.By, v)
		}
	}
	raw, err := encode(d)
	if err != nil {
		return workflow.Next{}, err
	}
	err = s.engine.Start(ctx, workflow.Run{ID: leaseID(w.d.Run), Recipe: leaseRecipe, Key: leaseKey(w.d.Plan), Data: raw},
		workflow.Entry{At: time.Now(), Who: w.g.Settled.By, What: "lease", Run: w.d.Run, Subject: w.d.Plan.Title(), After: d.Terms.words()})
	if errors.Is(err, workflow.ErrExists) {
		if _, err = s.d.Store.Run(ctx, leaseID(w.d.Run)); errors.Is(err, workflow.ErrNotFound) {
			return w.end(Cancelled, "another lease holds for this worker", w.untouched())
		}
	}
	if err != nil {
		return workflow.Next{}, err
	}
	return w.end(Leased, d.Terms.words(), "")
}

func (t Terms) words() string {
	return fmt.Sprintf("restart when less than %v is left, until %s, at most %d times", t.Below, minute(t.Until), t.Most)
}

func leaseKey(p Plan) string { return fmt.Sprintf("lease/%d/%s", p.DropletID, p.Worker) }

// hold keeps a worker alive while its lease holds. What was done under it is
// read from the runs themselves, so that nothing is counted twice.
func (s *Service) hold(ctx context.Context, j *workflow.Job) (workflow.Next, error) {
	var d leaseData
	var g leaseGate
	if err := errors.Join(j.Load(&d), j.Gate(&g)); err != nil {
		return workflow.Next{}, err
	}
	end := func(e LeaseEnd, why string) (workflow.Next, error) {
		d.Why = why
		j.Note(workflow.Entry{What: "lease", Subject: d.Plan.Title(), Why: why, After: string(e)})
		return workflow.End(string(e)), j.Keep(d)
	}
	runs, err := s.leaseRuns(ctx, j.Run().ID, d)
	if err != nil {
		return workflow.Next{}, err
	}
	now := time.Now()
	soon := workflow.Wait(now.Add(s.c.Pace.Hold))
	if len(runs) > 0 {
		switch last := runs[0]; {
		case last.r.Live() && g.Revoked != nil:
			return soon, s.cancelRun(ctx, last.r.ID, *g.Revoked, leaseRevoked)
		case last.r.Live():
			return soon, nil
		case g.Revoked != nil:
			return end(LeaseRevoked, "")
		case Outcome(last.r.Outcome) == Cancelled:
			return end(LeaseRevoked, "a person cancelled the restart")
		case Outcome(last.r.Outcome) == Overtaken && !now.Before(d.Terms.Until):
			return end(LeaseOver, "")
		case !good(Outcome(last.r.Outcome)):
			return end(LeaseFailed, "the last restart ended: "+Outcome(last.r.Outcome).Words())
		}
	}
	switch {
	case g.Revoked != nil:
		return end(LeaseRevoked, "")
	case !now.Before(d.Terms.Until):
		return end(LeaseOver, "")
	case len(runs) >= d.Terms.Most:
		return end(LeaseUsedUp, "")
	}
	return soon, s.keepAlive(ctx, j.Run().ID, d, runs)
}

// keepAlive begins a run under a lease when too little time is left.
func (s *Service) keepAlive(ctx context.Context, id string, d leaseData, runs []record) error {
	sub := finding.Subject{Kind: finding.KindLeak, DropletID: fmt.Sprint(d.Plan.DropletID), DropletName: d.Plan.Droplet, Worker: d.Plan.Worker}
	f, err := s.d.Findings.LiveFinding(ctx, sub.Key())
	switch {
	case errors.Is(err, finding.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("reading the finding of lease %s: %w", id, err)
	}
	out := s.forecast(f)
	below := d.Terms.Below
	if len(runs) == 0 { // the first has to wait for its snapshot
		takes, err := s.snapshotTime(ctx, d)
		if err != nil {
			return fmt.Errorf("reading how long the snapshot of lease %s may take: %w", id, err)
		}
		below += takes
	}
	if out.IsZero() || time.Until(out) > below || f.State == finding.Muted {
		return nil
	}
	last, found, err := s.lastRestart(ctx, runKey(sub))
	if err != nil {
		return err
	}
	freed := Outcome(last.r.Outcome) == FreedWorking || Outcome(last.r.Outcome) == FreedNotSeenWorking
	if found && (freed || last.r.Ended.After(d.Granted)) && !s.grewAgain(last, f) {
		return nil // what is judged is still the life before, whoever restarted it
	}
	by := d.By[len(d.By)-1].By
	v := Vote{By: by, Kind: Approve, Reason: fmt.Sprintf("less than %v is left; lease of %s", below, minute(d.Granted))}
	return s.approveFor(ctx, f, v, func(g *gate) { g.Lease = id })
}

// snapshotTime is how long the lease's snapshot is expected to take; 0: not
// known. It is an error, to be tried again, when that cannot be read: taken
// for 0, the first restart would come later than was agreed.
func (s *Service) snapshotTime(ctx context.Context, d leaseData) (time.Duration, error) {
	r, err := s.d.Store.Run(ctx, d.Run)
	if err != nil {
		return 0, err
	}
	t, err := s.open(r)
	if err != nil {
		return 0, err
	}
	return t.d.Expected, nil
}

// leaseRuns lists the runs that were let go by a lease, newest first.
func (s *Service) leaseRuns(ctx context.Context, id string, d leaseData) ([]record, error) {
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Recipe: Recipe, Since: d.Granted,
		Key: fmt.Sprintf("%d/%s", d.Plan.DropletID, d.Plan.Worker)})
	if err != nil {
		return nil, fmt.Errorf("reading the runs of lease %s: %w", id, err)
	}
	var out []record
	for _, r := range runs {
		t, err := s.open(r)
		if err != nil {
			return nil, err
		}
		if t.g.Lease == id && t.g.approved() {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b record) int { return b.g.Settled.At.Compare(a.g.Settled.At) })
	return out, nil
}

// leaseOf reads a lease.
func (s *Service) leaseOf(ctx context.Context, id string) (workflow.Run, leaseData, leaseGate, error) {
	var d leaseData
	var g leaseGate
	r, err := s.d.Store.Run(ctx, id)
	if err != nil {
		return r, d, g, fmt.Errorf("reading lease %s: %w", id, err)
	}
	err = json.Unmarshal(r.Data, &d)
	if len(r.Gate) > 0 {
		err = errors.Join(err, json.Unmarshal(r.Gate, &g))
	}
	return r, d, g, err
}

// leaseView is the lease that a run granted or belongs to, or that holds for
// its worker; nil: none.
func (s *Service) leaseView(ctx context.Context, t record) (*Lease, error) {
	id := t.g.Lease
	if t.r.Outcome == string(Leased) {
		id = leaseID(t.r.ID)
	}
	if id == "" {
		held, err := s.leased(ctx, t.d.Plan)
		if err != nil || held == "" {
			return nil, err
		}
		id = held
	}
	r, d, g, err := s.leaseOf(ctx, id)
	if err != nil {
		return nil, err
	}
	runs, err := s.leaseRuns(ctx, id, d)
	if err != nil {
		return nil, err
	}
	return &Lease{ID: id, Terms: d.Terms, By: d.By, Used: len(runs), End: LeaseEnd(r.Outcome), Ended: r.Ended, Why: d.Why, Revoked: g.Revoked,
		Snapshot: snapshotMade(runs)}, nil
}

// leased returns the live lease that keeps a worker; empty: none.
func (s *Service) leased(ctx context.Context, p Plan) (string, error) {
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Live: true, Recipe: leaseRecipe, Key: leaseKey(p), Limit: 1})
	if err != nil {
		return "", fmt.Errorf("looking for a lease of %s: %w", p.Title(), err)
	}
	if len(runs) == 0 {
		return "", nil
	}
	return runs[0].ID, nil
}

// countedOn reports whether a live lease counts on the snapshot of a run.
func (s *Service) countedOn(ctx context.Context, t record) (bool, error) {
	if t.g.Lease == "" {
		return false, nil
	}
	r, err := s.d.Store.Run(ctx, t.g.Lease)
	if err != nil {
		return false, fmt.Errorf("reading lease %s: %w", t.g.Lease, err)
	}
	return r.Live(), nil
}

// mayGrant says why terms cannot be granted.
func (s *Service) mayGrant(ctx context.Context, t record, terms *Terms) error {
	if terms == nil {
		return refuse(CannotTell, "A lease needs terms.")
	}
	if no := terms.check(time.Now()); no != nil {
		return no
	}
	if t.d.Plan.Way.WholeDroplet() {
		return refuse(CannotTell, "Dropleak reboots no droplet by itself, so there is no lease for this worker.")
	}
	held, err := s.leased(ctx, t.d.Plan)
	if err == nil && held != "" {
		return refuse(Decided, "A lease holds for this worker already.")
	}
	return err
}

// countGrant adds a vote for a lease. Votes for other terms are void: nobody
// grants what somebody else thought of afterwards.
func (s *Service) countGrant(t *record, terms Terms, vote Vote) string {
	var votes []Vote
	for _, v := range t.g.Votes {
		if v.Kind != Grant || t.g.Terms.same(&terms) {
			votes = append(votes, v)
		}
	}
	t.g.Votes, t.g.Terms = append(votes, vote), &terms
	if have := t.g.count(Grant); have < s.c.Quorum {
		return fmt.Sprintf("Noted, %d of %d needed for a lease on these terms.", have, s.c.Quorum)
	}
	t.g.Settled = &vote
	return "Granted: " + terms.words() + "."
}

// isLease reports whether an id is a lease's.
func isLease(id string) bool { return strings.HasPrefix(id, leaseRecipe+"-") }
