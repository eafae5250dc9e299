package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient"
)

// snapshot has the droplet snapshotted and waits until the snapshot stands
// in the droplet's list under the run's own name.
func (s *Service) snapshot(ctx context.Context, w *work) (workflow.Next, error) {
	began := w.d.begin(stepSnapshot, w.now)
	switch {
	case w.g.Cancel != nil:
		return w.cancelled()
	case w.g.Skip != nil:
		return w.on(stepRecheck)
	case w.now.Sub(began) > s.c.Pace.Snapshot:
		return s.giveUpSnapshot(ctx, w)
	}
	if w.d.Action == 0 && w.d.Listed.IsZero() {
		if w.g.Lease != "" {
			if next, done, err := s.borrow(ctx, w); err != nil || done {
				return next, err
			}
		}
		return s.orderSnapshot(ctx, w)
	}
	return s.awaitSnapshot(ctx, w)
}

// giveUpSnapshot ends a run whose snapshot does not come.
func (s *Service) giveUpSnapshot(ctx context.Context, w *work) (workflow.Next, error) {
	a, err := w.GiveUp(ctx, try(actSnapshot, w.d.SnapshotTry), "took too long")
	if err != nil {
		return workflow.Next{}, err
	}
	why := fmt.Sprintf("the snapshot was not finished within %v", s.c.Pace.Snapshot)
	if a.State == workflow.Unknown {
		return w.end(Unclear, why+", and whether it was begun is not known", w.unknownSnapshot())
	}
	return w.end(Failed, why, w.untouched())
}

// orderSnapshot carries the act as far as it can go now.
func (s *Service) orderSnapshot(ctx context.Context, w *work) (workflow.Next, error) {
	a, err := w.Act(ctx, s.snapshotRequest(w))
	if err != nil {
		return workflow.Next{}, err
	}
	switch {
	case a.State == workflow.Sent:
		w.d.Why = "DigitalOcean's answer was lost; looking for the snapshot's trace"
		return workflow.Wait(a.Again), nil
	case a.State == workflow.Refused && a.Retry:
		w.d.SnapshotTry++
		w.d.Why = "DigitalOcean does not take the order yet: " + a.Why
		return workflow.Wait(w.now.Add(s.c.Pace.Poll)), nil
	case a.State == workflow.Refused:
		return w.end(Failed, "DigitalOcean refused the snapshot: "+a.Why, "Nothing was touched.")
	case a.State == workflow.Unknown:
		return w.end(Unclear, "it is not known whether the snapshot was begun: "+a.Why, w.unknownSnapshot())
	}
	var t trace
	if err := json.Unmarshal(a.Result, &t); err != nil {
		return workflow.Next{}, fmt.Errorf("reading the result of act %s: %w", a.Name, err)
	}
	w.d.Why, w.d.Action = "", t.Action
	if t.Rehearsed && w.d.Only {
		return w.end(Rehearsed, "", "Nothing was carried out.")
	}
	if t.Rehearsed {
		return w.on(stepRecheck)
	}
	if t.Action == 0 {
		w.d.Listed = w.now // found by its name: only the listing is left to read
	}
	return workflow.Wait(w.now.Add(s.c.Pace.Poll)), nil
}

func (w *work) unknownSnapshot() string {
	return "The worker was not touched. Look in the control panel for a snapshot named " + w.d.SnapshotName + "."
}

// trace is what is known of a snapshot's order.
type trace struct {
	Action    int64 `json:"action,omitempty"` // 0: the snapshot was found by its name
	Rehearsed bool  `json:"rehearsed,omitempty"`
}

// try names the act of a try, counted from 0.
func try(act string, n int) string {
	if n == 0 {
		return act
	}
	return fmt.Sprintf("%s-%d", act, n+1)
}

func (s *Service) snapshotRequest(w *work) workflow.Request {
	id, name := w.d.Plan.DropletID, w.d.SnapshotName
	q := workflow.Request{Name: try(actSnapshot, w.d.SnapshotTry),
		Body: map[string]any{"droplet_id": id, "name": name, "rehearsal": w.d.Rehearsal}}
	if w.d.Rehearsal {
		q.Repeatable = true
		q.Send = func(context.Context) (any, error) { return trace{Rehearsed: true}, nil }
		return q
	}
	q.Send = func(ctx context.Context) (any, error) {
		a, err := s.d.Cloud.Snapshot(ctx, id, name)
		if err != nil && !doclient.Unclear(err) {
			err = workflow.NotTaken(err, doclient.Pending(err) || errors.Is(err, doclient.ErrLimited))
		}
		return trace{Action: a.ID}, err
	}
	q.Observe = func(ctx context.Context, sent time.Time) ([]workflow.Sighting, error) {
		return s.snapshotTraces(ctx, id, name, sent)
	}
	return q
}

// snapshotTraces looks for a snapshot whose order's answer was lost: by its
// name, which is the run's alone, then among the droplet's actions.
func (s *Service) snapshotTraces(ctx context.Context, id int64, name string, sent time.Time) ([]workflow.Sighting, error) {
	_, err := s.d.Cloud.SnapshotByName(ctx, id, name)
	if err == nil {
		return []workflow.Sighting{{Result: trace{}, Certain: true}}, nil
	}
	if !errors.Is(err, doclient.ErrNotFound) {
		return nil, err
	}
	actions, err := s.d.Cloud.FindActions(ctx, id, doclient.TypeSnapshot, sent)
	if err != nil {
		return nil, err
	}
	var out []workflow.Sighting
	for _, a := range actions {
		out = append(out, workflow.Sighting{Result: trace{Action: a.ID}})
	}
	return out, nil
}

// awaitSnapshot looks once whether the snapshot is finished and listed.
func (s *Service) awaitSnapshot(ctx context.Context, w *work) (workflow.Next, error) {
	if w.d.Listed.IsZero() {
		a, err := s.d.Cloud.Action(ctx, w.d.Action)
		switch {
		case errors.Is(err, doclient.ErrNotFound) && w.now.Sub(w.d.Times[stepSnapshot].Began) < settleFor:
			return workflow.Wait(w.now.Add(s.c.Pace.Poll)), nil // not shown yet, right after it was taken
		case err != nil:
			return workflow.Next{}, err
		case a.Status == doclient.Errored:
			return w.end(Failed, "DigitalOcean ended the snapshot with an error and gives no reason", "The worker was not touched. There is no snapshot.")
		case a.Status != doclient.Completed:
			return workflow.Wait(w.now.Add(s.c.Pace.Poll)), nil
		}
		w.d.Listed = w.now
	}
	snap, err := s.d.Cloud.SnapshotByName(ctx, w.d.Plan.DropletID, w.d.SnapshotName)
	switch {
	case errors.Is(err, doclient.ErrNotFound) && w.now.Sub(w.d.Listed) < settleFor:
		w.d.Why = "the snapshot is finished; waiting for it to be listed"
		return workflow.Wait(w.now.Add(s.c.Pace.Poll)), nil
	case errors.Is(err, doclient.ErrNotFound), errors.Is(err, doclient.ErrAmbiguous):
		return w.end(Unclear, "DigitalOcean says the snapshot is finished, but: "+err.Error(), w.unknownSnapshot())
	case err != nil:
		return workflow.Next{}, err
	}
	w.d.Snapshot = &Snapshot{ID: snap.ID, DropletID: snap.DropletID, Name: snap.Name, SizeGB: snap.SizeGB, Done: w.now}
	w.Note(workflow.Entry{What: "snapshot", Subject: snap.Name, After: fmt.Sprintf("id %s, %.2f GB", snap.ID, snap.SizeGB)})
	if w.d.Only {
		return w.end(Snapshotted, "", "")
	}
	return w.on(stepRecheck)
}

// settleFor is how long DigitalOcean's listings may lag behind its answers.
const settleFor = 5 * time.Minute

// monthlyUSD is the published price of keeping a droplet snapshot.
func monthlyUSD(gb float64) float64 {
	return math.Max(math.Round(gb*6)/100, 0.01)
}
