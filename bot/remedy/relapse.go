package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
)

// Relapse says that a worker grew again in the life that a restart gave it.
type Relapse struct {
	At      time.Time `json:"at"`                 // when it was seen
	Rate    float64   `json:"rate,omitempty"`     // bytes per hour; 0: not told
	Exhaust time.Time `json:"exhaust,omitzero"`   // when memory is forecast to run out; zero: not
	Helped  float64   `json:"helped_s,omitempty"` // seconds since the restart
}

// Heed takes note of how a worker stands, as just judged. It is called for
// every leak and passed threshold at every scan and when it is over, by one process or by several.
func (s *Service) Heed(ctx context.Context, f finding.Finding) error {
	switch {
	case f.Subject.Kind == finding.KindRequest && f.State.Final():
		return s.moot(ctx, f)
	case !f.Subject.Kind.OfWorker() || f.Subject.Worker == "":
		return nil
	case f.State.Final():
		return s.moot(ctx, f)
	}
	if err := s.relapsed(ctx, f); err != nil {
		return err
	}
	id, err := strconv.ParseInt(f.Subject.DropletID, 10, 64)
	if err != nil {
		return nil // no droplet of DigitalOcean's: nothing is restarted there
	}
	held, err := s.leased(ctx, Plan{DropletID: id, Droplet: f.Subject.DropletName, Worker: f.Subject.Worker})
	if err != nil || held != "" {
		return err // people have answered
	}
	if f.Subject.Kind == finding.KindThreshold {
		return s.actBySelf(ctx, f) // there is no forecast to remind by
	}
	return errors.Join(s.actBySelf(ctx, f), s.remind(ctx, f))
}

// relapsed writes down, once, that the newest restart of a worker did not
// last, and asks anew.
func (s *Service) relapsed(ctx context.Context, f finding.Finding) error {
	if f.Subject.Kind != finding.KindLeak || !f.Verdict.Kind.Leaks() {
		return nil
	}
	t, found, err := s.lastRestart(ctx, runKey(f.Subject))
	if err != nil || !found || t.g.Relapse != nil || !s.grewAgain(t, f) {
		return err
	}
	began := t.d.Times[stepRestart].Began
	t.g.Relapse = &Relapse{At: f.LastSeen, Helped: f.LastSeen.Sub(began).Seconds()}
	if r := f.Verdict.Rate; r != nil {
		t.g.Relapse.Rate = r.Value
	}
	t.g.Relapse.Exhaust = s.forecast(f)
	raw, err := json.Marshal(t.g)
	if err != nil {
		return err
	}
	err = s.d.Store.AmendRun(ctx, t.r.ID, t.r.GateVersion, raw, workflow.Entry{At: time.Now(), Who: workflow.Self, What: "relapse",
		Run: t.r.ID, Subject: t.d.Plan.Title(), Why: "finding " + f.ID, After: fmt.Sprintf("%.0f bytes/h", t.g.Relapse.Rate)})
	if errors.Is(err, workflow.ErrConflict) {
		return nil // somebody else said something of it just now; the next scan sees
	}
	if err != nil {
		return fmt.Errorf("writing down the relapse after run %s: %w", t.r.ID, err)
	}
	s.engine.Wake()
	if f.State != finding.Open {
		return nil
	}
	_, err = s.Propose(ctx, f, "")
	var cannot *Refusal
	if errors.As(err, &cannot) {
		return nil // the finding stands all the same, and may be asked about
	}
	return err
}

// lastRestart returns the newest run that restarted a worker.
func (s *Service) lastRestart(ctx context.Context, key string) (record, bool, error) {
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Ended: true, Recipe: Recipe, Key: key, Limit: 20})
	if err != nil {
		return record{}, false, fmt.Errorf("reading former runs of %s: %w", key, err)
	}
	for _, r := range runs {
		if Outcome(r.Outcome).Restarted() {
			t, err := s.open(r)
			return t, err == nil, err
		}
	}
	return record{}, false, nil
}

// grewAgain reports whether a verdict is about the life that a run began, and
// not about the one it ended, which stays in the samples for days.
func (s *Service) grewAgain(t record, f finding.Finding) bool {
	o := Outcome(t.r.Outcome)
	if o != FreedWorking && o != FreedNotSeenWorking || !f.LastSeen.After(t.r.Ended) {
		return false
	}
	began := s.stretch(t.d.Times[stepRestart].Began, f.LastSeen)
	for _, p := range f.Verdict.Processes {
		if p.Kind == detector.Leak && (p.Start.After(began) || t.d.Restart != nil && p.PID != 0 && p.PID == t.d.Restart.New.PID) {
			return true
		}
	}
	return f.Verdict.Onset != nil && f.Verdict.Onset.After(began)
}

// stretch maps a moment to the time that verdicts are told in.
func (s *Service) stretch(t, at time.Time) time.Time {
	if s.c.Stretch == nil {
		return t
	}
	return s.c.Stretch(t, at)
}
