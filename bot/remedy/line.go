package remedy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dropleak/dropleak/bot/workflow"
)

// Limits say how many runs may act at the same time. On one droplet it is
// always one. Zero fields do not limit.
type Limits struct {
	Fleet int            // over the whole fleet
	Tags  map[string]int // on droplets that carry a tag
	// SameWorker is for workers of one name on different droplets, which
	// serve the same queues: the others go on serving them.
	SameWorker int
	// Queues keep workers up; a run waits where they cannot spare its own.
	Queues []Queue
}

// line waits for the run's turn. Whoever stands in line for the same place is
// served in the order of coming.
func (s *Service) line(ctx context.Context, w *work) (workflow.Next, error) {
	w.d.begin(stepLine, w.now)
	if w.g.Cancel != nil {
		return w.cancelled()
	}
	why, err := s.held(ctx, w)
	if err != nil {
		return workflow.Next{}, err
	}
	if why != "" {
		w.d.Why = why
		return workflow.Wait(w.now.Add(s.c.Pace.Line)), nil
	}
	slots, err := s.slots(ctx, w.d.Plan)
	if err != nil {
		return workflow.Next{}, err
	}
	ahead, err := s.ahead(ctx, w.r, slots)
	if err != nil {
		return workflow.Next{}, err
	}
	if len(ahead) > 0 {
		w.d.Ahead, w.d.Why = ahead, "others came first"
		return workflow.Wait(w.now.Add(s.c.Pace.Line)), nil
	}
	full, err := w.Take(ctx, slots...)
	if err != nil {
		return workflow.Next{}, err
	}
	if len(full) == 0 {
		w.d.Ahead = nil
		return w.on(stepEvidence)
	}
	w.d.Ahead, w.d.Why = full[0].Holders, crowded(full[0])
	return workflow.Wait(w.now.Add(s.c.Pace.Line)), nil
}

// The kinds of places that a run needs, as the names of slots begin.
const (
	slotDroplet = "droplet/"
	slotFleet   = "fleet"
	slotTag     = "tag/"
	slotWorker  = "worker/"
	slotQueue   = "queue/"
)

// dropletSlot is the place on the droplet itself.
func dropletSlot(p Plan) string { return slotDroplet + strconv.FormatInt(p.DropletID, 10) }

// slots are the places a run needs before it may act.
func (s *Service) slots(ctx context.Context, p Plan) ([]workflow.Slot, error) {
	out := []workflow.Slot{{Name: dropletSlot(p), Limit: 1}}
	l := s.c.Limits
	if l.Fleet > 0 {
		out = append(out, workflow.Slot{Name: slotFleet, Limit: l.Fleet})
	}
	if l.SameWorker > 0 {
		out = append(out, workflow.Slot{Name: slotWorker + p.Worker, Limit: l.SameWorker})
	}
	if len(l.Tags) == 0 {
		return out, nil
	}
	tags, err := s.d.Tags(ctx, p.DropletID)
	if err != nil {
		return nil, fmt.Errorf("asking for the tags of droplet %d: %w", p.DropletID, err)
	}
	slices.Sort(tags)
	for _, t := range slices.Compact(tags) {
		if n := l.Tags[t]; n > 0 {
			out = append(out, workflow.Slot{Name: slotTag + t, Limit: n})
		}
	}
	return out, nil
}

// crowded says what a run waits for.
func crowded(full workflow.Slot) string {
	kind, name, _ := strings.Cut(full.Name, "/")
	switch kind + "/" {
	case slotDroplet:
		return "another run is at work on this droplet"
	case slotTag:
		return fmt.Sprintf("at most %d at a time may be at work on droplets tagged %s", full.Limit, name)
	case slotWorker:
		return fmt.Sprintf("at most %d at a time of the workers named %s may be restarted: the others serve its queues meanwhile", full.Limit, name)
	case slotQueue:
		return "another worker of " + name + " is being restarted: those of one queue restart one at a time (remediation.queues)"
	}
	return fmt.Sprintf("at most %d at a time may be at work over the fleet", full.Limit)
}

// hopeless is how many errors in a row make a run in line hold nobody up.
const hopeless = 3

// ahead lists the runs that stand in line for one of the same places and came
// before r, the first of them first. One that has its places, and died before
// it could go on, waits for nobody: the others wait for it. One that gave its
// places back right before its restart, and wants them again, was there first.
func (s *Service) ahead(ctx context.Context, r workflow.Run, slots []workflow.Slot) ([]string, error) {
	holders, err := s.d.Store.SlotHolders(ctx, slots[0].Name)
	if err != nil {
		return nil, fmt.Errorf("looking who is at work: %w", err)
	}
	if slices.Contains(holders, r.ID) {
		return nil, nil
	}
	live, err := s.d.Store.Runs(ctx, workflow.Filter{Live: true, Recipe: Recipe})
	if err != nil {
		return nil, fmt.Errorf("looking who stands in line: %w", err)
	}
	var before []workflow.Run
	for _, other := range live {
		first := other.Step == stepLine && cmp.Or(r.Entered.Compare(other.Entered), cmp.Compare(r.ID, other.ID)) > 0
		if other.Tries >= hopeless || !first && other.Step != stepRecheck {
			continue
		}
		rivals, err := s.rivals(ctx, other, slots)
		if err != nil {
			return nil, err
		}
		if rivals {
			before = append(before, other)
		}
	}
	slices.SortFunc(before, func(a, b workflow.Run) int {
		return cmp.Or(a.Entered.Compare(b.Entered), cmp.Compare(a.ID, b.ID))
	})
	var ids []string
	for _, b := range before {
		ids = append(ids, b.ID)
	}
	return ids, nil
}

// rivals reports whether another run needs one of these places too. One whose
// queue cannot spare its worker, or on whose droplet a run is at work, could
// not use them: it holds nobody up but on that droplet.
func (s *Service) rivals(ctx context.Context, other workflow.Run, slots []workflow.Slot) (bool, error) {
	var d data
	if err := json.Unmarshal(other.Data, &d); err != nil {
		return false, fmt.Errorf("reading the data of run %s: %w", other.ID, err)
	}
	if other.Step == stepRecheck && !d.Wants || other.Step == stepLine && !d.Held.IsZero() {
		return false, nil
	}
	theirs, err := s.slots(ctx, d.Plan)
	if err != nil {
		return false, err
	}
	if theirs[0].Name != slots[0].Name { // the droplets'
		holders, err := s.d.Store.SlotHolders(ctx, theirs[0].Name)
		if err != nil {
			return false, fmt.Errorf("looking who is at work: %w", err)
		}
		if len(holders) > 0 && !slices.Contains(holders, other.ID) {
			return false, nil
		}
	}
	return slices.ContainsFunc(theirs, func(t workflow.Slot) bool {
		return slices.ContainsFunc(slots, func(m workflow.Slot) bool { return m.Name == t.Name })
	}), nil
}
