package dosim

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

const (
	inProgress = "in-progress"
	completed  = "completed"
	errored    = "errored"
)

// Action is what OnAction is told: an action of a droplet, and its status
// ("in-progress", "completed", "errored") at that moment.
type Action struct {
	ID        int
	DropletID int
	Type      string
	Status    string
	Started   time.Time
	Completed time.Time // zero while in progress
}

type action struct {
	Action
	name   string    // of the snapshot to make
	ends   time.Time // when it completes or fails
	fails  bool
	shown  time.Time // an unkind Sim answers 404 before
	hidden bool      // that 404 was answered; it is answered once
	region string
}

var defaultDurations = map[string]time.Duration{
	"snapshot":    2 * time.Minute,
	"reboot":      30 * time.Second,
	"power_cycle": 20 * time.Second,
}

// FailActions makes the next n actions of a type end as errored; an errored
// snapshot leaves no snapshot behind.
func (s *Sim) FailActions(kind string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing[kind] = n
}

// StartAction starts an action of a modelled type as somebody else would, from
// the control panel, and reports its id, or 0 when the droplet is unknown or
// busy. The name is that of the snapshot.
func (s *Sim) StartAction(dropletID int, kind, name string) int {
	defer s.announce()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(time.Now())
	if s.droplets[dropletID] == nil || s.busy(dropletID) != nil || defaultDurations[kind] == 0 {
		return 0
	}
	return s.start(dropletID, kind, name).ID
}

func (s *Sim) postAction(q *request) reply {
	if bad := q.only(); bad != nil {
		return *bad
	}
	var body map[string]any
	if err := json.NewDecoder(q.Body).Decode(&body); err != nil {
		return refuse(http.StatusBadRequest, "bad_request", "error parsing request body")
	}
	kind, _ := body["type"].(string)
	name, _ := body["name"].(string)
	allowed := []string{"type"}
	if kind == "snapshot" {
		allowed = append(allowed, "name")
	}
	if defaultDurations[kind] == 0 {
		return unmodelled("action type " + kind)
	}
	for member := range body {
		if !slices.Contains(allowed, member) {
			return unmodelled("member " + member + " of a " + kind + " action")
		}
	}
	if missing := q.account.lacks(scopesOf(kind)); missing {
		return forbidden()
	}
	id := q.id("droplet")
	switch {
	case s.droplets[id] == nil:
		return notFound()
	case s.busy(id) != nil:
		return refuse(http.StatusUnprocessableEntity, "unprocessable_entity", "Droplet already has a pending event.")
	}
	a := s.start(id, kind, name)
	return reply{status: http.StatusCreated, body: map[string]any{"action": actionBody(a)}}
}

func scopesOf(kind string) []string {
	if kind == "snapshot" {
		return []string{"droplet:update", "image:create"}
	}
	return []string{"droplet:update"}
}

// busy is the action that keeps the droplet from starting another, or nil.
func (s *Sim) busy(dropletID int) *action {
	for _, a := range s.actions {
		if a.DropletID == dropletID && a.Status == inProgress {
			return a
		}
	}
	return nil
}

func (s *Sim) start(dropletID int, kind, name string) *action {
	now := time.Now()
	takes, ok := s.opts.Durations[kind]
	if !ok {
		takes = defaultDurations[kind]
	}
	takes = s.scaled(takes)
	if !s.kind {
		takes += time.Duration(s.rng.Float64() * 0.4 * float64(takes))
	}
	d := s.droplets[dropletID]
	a := &action{
		Action: Action{ID: s.id(), DropletID: dropletID, Type: kind, Status: inProgress, Started: now},
		name:   name, ends: now.Add(takes), shown: now.Add(s.scaled(5 * time.Second)), region: d.Region,
	}
	if s.failing[kind] > 0 {
		s.failing[kind]--
		a.fails = true
	}
	if kind != "snapshot" {
		d.down = append(d.down, span{now, a.ends})
	}
	s.actions = append(s.actions, a)
	s.record(KindActionStarted, now, a)
	if s.opts.OnAction != nil {
		time.AfterFunc(takes, s.Settle)
	}
	return a
}

// finish ends an action at the moment it was due.
func (s *Sim) finish(a *action) {
	a.Status, a.Completed = completed, a.ends
	if a.fails {
		a.Status = errored
		s.record(KindActionErrored, a.ends, a)
		return
	}
	if a.Type == "snapshot" {
		s.addSnapshot(a)
	}
	s.record(KindActionCompleted, a.ends, a)
}

func (s *Sim) record(kind string, at time.Time, a *action) {
	s.note(Entry{At: at, Kind: kind, DropletID: a.DropletID, ActionID: a.ID, ActionType: a.Type, SnapshotName: a.name})
	s.events = append(s.events, a.Action)
}

func (s *Sim) listActions(q *request) reply {
	if bad := q.only("page", "per_page"); bad != nil {
		return *bad
	}
	id := q.id("droplet")
	if s.droplets[id] == nil {
		return notFound()
	}
	var found []any
	now := time.Now()
	for _, a := range slices.Backward(s.actions) {
		if a.DropletID == id && (s.kind || !now.Before(a.Started.Add(s.scaled(3*time.Second)))) {
			found = append(found, actionBody(a))
		}
	}
	return q.page("actions", found)
}

func (s *Sim) getAction(q *request) reply {
	if bad := q.only(); bad != nil {
		return *bad
	}
	for _, a := range s.actions {
		if a.ID != q.id("action") || (q.has("droplet") && a.DropletID != q.id("droplet")) {
			continue
		}
		if !s.kind && !a.hidden && time.Now().Before(a.shown) {
			a.hidden = true
			return notFound()
		}
		return reply{status: http.StatusOK, body: map[string]any{"action": actionBody(a)}}
	}
	return notFound()
}

func actionBody(a *action) map[string]any {
	var done any
	if a.Status != inProgress {
		done = stamp(a.Completed)
	}
	return map[string]any{
		"id": a.ID, "status": a.Status, "type": a.Type, "started_at": stamp(a.Started), "completed_at": done,
		"resource_id": a.DropletID, "resource_type": "droplet", "region": regionBody(a.region), "region_slug": a.region,
	}
}
