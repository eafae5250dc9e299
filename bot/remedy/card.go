package remedy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient"
)

// Card is what a restart would cost and what it brought before, as far as it
// was known when the question was asked. What is not known is empty, and is
// to be called so.
type Card struct {
	Snapshot Estimate  `json:"snapshot"`
	Newest   *Standing `json:"newest,omitempty"`   // the newest snapshot of the droplet, whoever made it
	NoneYet  bool      `json:"none_yet,omitempty"` // DigitalOcean lists no snapshot; with a nil Newest and false it was not asked
	Past     []Past    `json:"past,omitempty"`     // restarts of this worker, newest first
	Queue    string    `json:"queue,omitempty"`    // why its queue cannot spare the worker; empty: it can
	OnHand   *OnHand   `json:"on_hand,omitempty"`  // tasks that it would end; nil: that could not be asked
}

// Estimate is what is expected of a snapshot.
type Estimate struct {
	Takes time.Duration `json:"takes,omitempty"` // 0: not known
	GB    float64       `json:"gb,omitempty"`    // 0: not known
	Of    int           `json:"of,omitempty"`    // past snapshots of the droplet it was learned from; 0: a rule of thumb
}

// MonthlyUSD is what keeping it would cost; 0 where its size is not known.
func (e Estimate) MonthlyUSD() float64 {
	if e.GB == 0 {
		return 0
	}
	return monthlyUSD(e.GB)
}

// Standing is a snapshot that exists.
type Standing struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// Past is a restart of before and how long it helped.
type Past struct {
	At      time.Time     `json:"at"`
	Outcome Outcome       `json:"outcome"`
	Freed   float64       `json:"freed,omitempty"`  // bytes; 0: not known
	Helped  time.Duration `json:"helped,omitempty"` // until it was a matter again, or until now; 0: not at all
	Still   bool          `json:"still,omitempty"`  // it helps to this day
}

// pastShown is how many restarts of before a card tells.
const pastShown = 3

// lookBack is how many runs are read to learn from.
const lookBack = 500

// card gathers what is to be said before the click. What cannot be learned
// now is left out: it never keeps a question from being asked.
func (s *Service) card(ctx context.Context, d data) (Card, error) {
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Ended: true, Recipe: Recipe, Limit: lookBack})
	if err != nil {
		return Card{}, fmt.Errorf("reading former runs: %w", err)
	}
	var droplet, worker []record
	for _, r := range runs {
		t, err := s.open(r)
		if err != nil {
			return Card{}, err
		}
		if t.d.Plan.DropletID != d.Plan.DropletID {
			continue
		}
		droplet = append(droplet, t)
		if t.d.Plan.Worker == d.Plan.Worker {
			worker = append(worker, t)
		}
	}
	c := Card{Snapshot: s.estimate(ctx, d, droplet), Past: past(worker, d.Asked)}
	c.Newest, c.NoneYet = s.newest(ctx, d.Plan.DropletID)
	c.Queue = s.queueNote(ctx, d)
	if !d.Only {
		c.OnHand = s.onHand(ctx, d)
	}
	return c, nil
}

// estimate says how long a snapshot will take: as long for each gigabyte as
// the droplet's former ones, else by rule of thumb.
func (s *Service) estimate(ctx context.Context, d data, former []record) Estimate {
	var each, whole []time.Duration
	e := Estimate{GB: d.Facts.DiskUsed / 1e9}
	for _, t := range former { // newest first
		sp := t.d.Times[stepSnapshot]
		if t.d.Snapshot == nil || sp.Ended.IsZero() {
			continue
		}
		took := sp.Ended.Sub(sp.Began)
		whole = append(whole, took)
		if gb := t.d.Snapshot.SizeGB; gb > 0 {
			each = append(each, time.Duration(float64(took)/gb))
			e.GB = cmp.Or(e.GB, gb)
		}
	}
	switch {
	case len(each) > 0:
		e.Of, e.Takes = len(each), time.Duration(float64(median(each))*e.GB)
	case len(whole) > 0:
		e.Of, e.Takes = len(whole), median(whole)
	case s.d.Expect != nil:
		e.Takes = s.d.Expect(ctx, d.Plan.DropletID, d.Facts.DiskUsed)
	}
	return e
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// newest is the droplet's newest snapshot; none reports that there is surely
// none.
func (s *Service) newest(ctx context.Context, droplet int64) (found *Standing, none bool) {
	if s.shelf == nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.Pace.Look)
	defer cancel()
	list, err := s.shelf.Snapshots(ctx, droplet)
	switch {
	case err != nil:
		s.log.Warn("listing snapshots for a question", "droplet", droplet, "err", err)
		return nil, false
	case len(list) == 0:
		return nil, true
	}
	x := slices.MaxFunc(list, func(a, b doclient.Snapshot) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return &Standing{Name: x.Name, At: x.CreatedAt}, false
}

// past tells how the former restarts of a worker went. runs are newest first.
// A restart that freed memory helped until the worker was seen growing again,
// or until somebody had reason to ask for the next one.
func past(runs []record, now time.Time) []Past {
	var out []Past
	until, still := now, true
	for _, t := range runs {
		if !Outcome(t.r.Outcome).Restarted() {
			if t.d.By == "" && !t.d.Only { // the fleet's watch found it leaking again
				until, still = t.d.Asked, false
			}
			continue
		}
		p := Past{At: t.d.Times[stepRestart].Began, Outcome: Outcome(t.r.Outcome)}
		freed, _ := freedBy(t.d.Before, t.d.Life)
		p.Freed = freed.Value
		if t.g.Relapse != nil {
			until, still = t.g.Relapse.At, false
		}
		if p.Outcome == FreedWorking || p.Outcome == FreedNotSeenWorking {
			p.Helped, p.Still = max(until.Sub(p.At), 0), still
		}
		out = append(out, p)
		if len(out) == pastShown {
			break
		}
		until, still = t.d.Asked, false
	}
	return out
}
