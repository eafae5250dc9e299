package remedy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient"
)

// Decisions on what an ended run left behind.
const (
	KeepSnapshot   Kind = "keep_snapshot"
	DeleteSnapshot Kind = "delete_snapshot"
)

// Shelf is where snapshots stand.
type Shelf interface {
	Snapshots(ctx context.Context, dropletID int64) ([]doclient.Snapshot, error)
	DeleteSnapshot(ctx context.Context, s doclient.Snapshot) error
}

// Kept is a snapshot that dropleak made and that still stands.
type Kept struct {
	Run        string
	Plan       Plan
	Snapshot   Snapshot
	MonthlyUSD float64
	Held       bool      // a lease counts on it: it stays meanwhile
	Pinned     *Vote     // who said that it stays
	Doomed     *Vote     // who said that it goes
	Expires    time.Time // when its age ends it; zero: it does not
}

// tidyRecipe deletes one snapshot, once decided: a run of its own, so that it
// is leased, journalled and finished like every other act.
const tidyRecipe = "tidy"

// tidyData is what a tidy run deletes.
type tidyData struct {
	Run      string   `json:"run"` // the run that made it
	Snapshot Snapshot `json:"snapshot"`
	Why      string   `json:"why"`
}

func (s *Service) tidy() workflow.Recipe {
	return workflow.Recipe{Name: tidyRecipe, First: "delete", Steps: map[string]workflow.Step{
		"delete": {Do: s.deleteStep, Next: []string{"deleted", "refused"}},
	}, Announce: func(ctx context.Context, r workflow.Run) error {
		if r.Live() {
			return nil
		}
		var d tidyData
		if err := json.Unmarshal(r.Data, &d); err != nil {
			return err
		}
		return s.d.Store.RetellRun(ctx, d.Run) // the message of the run that made it
	}}
}

// deleteStep asks for the deletion. It may be asked again: the snapshot is
// named by id, name and droplet, and gone is gone.
func (s *Service) deleteStep(ctx context.Context, j *workflow.Job) (workflow.Next, error) {
	var d tidyData
	if err := j.Load(&d); err != nil {
		return workflow.Next{}, err
	}
	sn := doclient.Snapshot{ID: d.Snapshot.ID, DropletID: d.Snapshot.DropletID, Name: d.Snapshot.Name}
	a, err := j.Act(ctx, workflow.Request{Name: "delete", Body: d, Repeatable: true, Send: func(ctx context.Context) (any, error) {
		if !strings.HasPrefix(sn.Name, snapshotPrefix) {
			return nil, workflow.NotTaken(fmt.Errorf("snapshot %s was not made by dropleak", sn.Name), false)
		}
		err := s.d.Shelf.DeleteSnapshot(ctx, sn)
		switch {
		case err == nil, errors.Is(err, doclient.ErrNotFound):
			return "gone", nil
		case !doclient.Unclear(err):
			return nil, workflow.NotTaken(err, false)
		}
		return nil, err
	}})
	switch {
	case err != nil:
		return workflow.Next{}, err
	case a.State == workflow.Sent:
		return workflow.Wait(a.Again), nil
	case a.State == workflow.Refused:
		return workflow.End("refused"), nil
	}
	return workflow.End("deleted"), nil
}

// tidyID names the run that deletes a run's snapshot: there is only one.
func tidyID(run string) string { return "tidy-" + run }

// disposed returns how far the deletion of a run's snapshot has come: empty,
// "deleting", "deleted" or "refused".
func (s *Service) disposed(ctx context.Context, run string) (string, error) {
	r, err := s.d.Store.Run(ctx, tidyID(run))
	switch {
	case errors.Is(err, workflow.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	case r.Live():
		return "deleting", nil
	}
	return r.Outcome, nil
}

// dispose begins the deletion of a run's snapshot; again is the same.
func (s *Service) dispose(ctx context.Context, run string, sn Snapshot, by, why string) error {
	raw, err := json.Marshal(tidyData{Run: run, Snapshot: sn, Why: why})
	if err != nil {
		return err
	}
	err = s.engine.Start(ctx, workflow.Run{ID: tidyID(run), Recipe: tidyRecipe, Data: raw},
		workflow.Entry{At: time.Now(), Who: who(by), What: "delete snapshot", Run: run, Subject: sn.Name, Why: why})
	if errors.Is(err, workflow.ErrExists) {
		return nil
	}
	return err
}

// decideLeft takes a decision on what an ended run left behind.
func (s *Service) decideLeft(ctx context.Context, t *record, d Decision) (string, error) {
	done, err := s.disposed(ctx, t.r.ID)
	switch {
	case err != nil:
		return "", err
	case t.r.Live() || t.d.Snapshot == nil || t.d.Borrowed || s.d.Shelf == nil:
		return "", refuse(TooLate, "This run has no finished snapshot to decide about.")
	case done != "":
		return "", refuse(Decided, "The snapshot is %s already.", map[string]string{"deleting": "being deleted", "deleted": "deleted", "refused": "beyond deleting"}[done])
	}
	if held, err := s.countedOn(ctx, *t); err != nil {
		return "", err
	} else if held && d.Kind == DeleteSnapshot {
		return "", refuse(TooLate, "A lease counts on this snapshot. Revoke the lease first.")
	}
	vote := Vote{By: d.By, Kind: d.Kind, Reason: d.Reason, Via: d.Via, At: time.Now()}
	t.g.Left = &vote
	raw, err := json.Marshal(t.g)
	if err != nil {
		return "", err
	}
	entry := workflow.Entry{At: vote.At, Who: d.By, What: "decision", Run: t.r.ID, Subject: string(d.Kind), Why: d.Journal()}
	if err := s.d.Store.AmendRun(ctx, t.r.ID, t.r.GateVersion, raw, entry); err != nil {
		return "", err
	}
	if d.Kind == KeepSnapshot {
		return "The snapshot stays until somebody deletes it.", nil
	}
	return "The snapshot is being deleted.", s.dispose(ctx, t.r.ID, *t.d.Snapshot, d.By, d.Reason)
}

// Shelf lists the snapshots that dropleak made and that still stand, newest
// first. Only what this store knows to have made is listed, whatever names
// others give to theirs.
func (s *Service) Shelf(ctx context.Context) ([]Kept, error) {
	if s.d.Shelf == nil {
		return nil, nil
	}
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Ended: true, Recipe: Recipe})
	if err != nil {
		return nil, fmt.Errorf("listing snapshots made: %w", err)
	}
	there := map[int64][]doclient.Snapshot{}
	var out []Kept
	for _, r := range runs {
		t, err := s.open(r)
		if err != nil {
			return nil, err
		}
		if t.d.Snapshot == nil || t.d.Borrowed {
			continue
		}
		id := t.d.Snapshot.DropletID
		if _, asked := there[id]; !asked {
			if there[id], err = s.d.Shelf.Snapshots(ctx, id); err != nil && !errors.Is(err, doclient.ErrNotFound) {
				return nil, fmt.Errorf("listing snapshots of droplet %d: %w", id, err)
			}
		}
		if k, ok := s.kept(t, there[id]); ok {
			if k.Held, err = s.countedOn(ctx, t); err != nil {
				return nil, err
			}
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b Kept) int { return b.Snapshot.Done.Compare(a.Snapshot.Done) })
	return out, nil
}

func (s *Service) kept(t record, there []doclient.Snapshot) (Kept, bool) {
	i := slices.IndexFunc(there, func(x doclient.Snapshot) bool {
		return x.ID == t.d.Snapshot.ID && x.Name == t.d.SnapshotName && x.DropletID == t.d.Snapshot.DropletID
	})
	if i < 0 {
		return Kept{}, false
	}
	k := Kept{Run: t.r.ID, Plan: t.d.Plan, Snapshot: *t.d.Snapshot, MonthlyUSD: monthlyUSD(there[i].SizeGB)}
	k.Snapshot.SizeGB = cmp.Or(there[i].SizeGB, k.Snapshot.SizeGB)
	switch {
	case t.g.Left != nil && t.g.Left.Kind == KeepSnapshot:
		k.Pinned = t.g.Left
		return k, true
	case t.g.Left != nil:
		k.Doomed = t.g.Left
	}
	if s.c.MaxAge > 0 {
		k.Expires = k.Snapshot.Done.Add(s.c.MaxAge)
	}
	return k, true
}

// Tidy begins the deletion of snapshots that are too many for their droplet
// or too old, and of those whose deletion was decided and not begun. Pinned
// ones stay and do not count. It returns how many deletions it began.
func (s *Service) Tidy(ctx context.Context) (int, error) {
	shelf, err := s.Shelf(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	standing := map[int64]int{}
	for _, k := range shelf {
		if k.Pinned != nil || k.Held {
			continue
		}
		standing[k.Snapshot.DropletID]++
		why, by := "", ""
		switch {
		case k.Doomed != nil:
			why, by = k.Doomed.Reason, k.Doomed.By
		case s.c.Keep > 0 && standing[k.Snapshot.DropletID] > s.c.Keep:
			why = fmt.Sprintf("more than %d of this droplet", s.c.Keep)
		case !k.Expires.IsZero() && time.Now().After(k.Expires):
			why = fmt.Sprintf("older than %v", s.c.MaxAge)
		default:
			continue
		}
		done, err := s.disposed(ctx, k.Run)
		if err != nil {
			return n, err
		}
		if done != "" {
			continue
		}
		if err := s.dispose(ctx, k.Run, k.Snapshot, by, why); err != nil {
			return n, fmt.Errorf("deleting snapshot %s: %w", k.Snapshot.Name, err)
		}
		n++
	}
	return n, nil
}
