package doclient

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/digitalocean/godo"
)

// Types of the actions that an [Executor] starts.
const (
	TypeSnapshot   = "snapshot"
	TypeReboot     = "reboot"
	TypePowerCycle = "power_cycle"
)

// States of an action.
const (
	InProgress = "in-progress"
	Completed  = "completed"
	Errored    = "errored"
)

// Action is something DigitalOcean does, or did, to a droplet.
type Action struct {
	ID          int64
	DropletID   int64
	Type        string    // such as TypeSnapshot; others start other types too
	Status      string    // InProgress, Completed or Errored
	StartedAt   time.Time // DigitalOcean's clock, whole seconds
	CompletedAt time.Time // zero while in progress
	Region      string    // slug
}

// Slack is how much earlier than our clock an action may say it started: its
// stamp is cut to seconds, and clocks differ.
const Slack = 5 * time.Second

// Action returns one action.
func (r *Reader) Action(ctx context.Context, id int64) (Action, error) {
	a, _, err := r.api.Actions.Get(ctx, int(id))
	if err := explain(fmt.Sprintf("read action %d", id), []string{"actions:read"}, err); err != nil {
		return Action{}, err
	}
	if a == nil {
		return Action{}, fmt.Errorf("read action %d: answer holds no action", id)
	}
	return actionOf(*a), nil
}

// Actions returns a droplet's actions that started at or after since, less
// [Slack], or are still in progress, newest first. It reads on as long as pages
// may hold such, and to the end when the list is not ordered.
func (r *Reader) Actions(ctx context.Context, dropletID int64, since time.Time) ([]Action, error) {
	cutoff := since.Add(-Slack)
	var found []Action
	ordered, oldest := true, time.Time{}
	err := eachPage(fmt.Sprintf("list actions of droplet %d", dropletID), []string{"droplet:read"},
		func(opt *godo.ListOptions) ([]godo.Action, *godo.Response, error) {
			return r.api.Droplets.Actions(ctx, int(dropletID), opt)
		},
		func(page []godo.Action) bool {
			for _, g := range page {
				a := actionOf(g)
				ordered = ordered && (oldest.IsZero() || !a.StartedAt.After(oldest))
				oldest = a.StartedAt
				if !a.StartedAt.Before(cutoff) || a.Status == InProgress {
					found = append(found, a)
				}
			}
			return !ordered || !oldest.Before(cutoff)
		})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b Action) int { return b.StartedAt.Compare(a.StartedAt) })
	return slices.CompactFunc(found, func(a, b Action) bool { return a.ID == b.ID }), nil
}

// FindActions returns the droplet's actions of a type that started at or after
// since, less [Slack], newest first: the candidates for an order whose answer
// was lost. None does not yet mean that it was not carried out: an action may
// take a while to show, so whoever looks does so for some minutes.
func (r *Reader) FindActions(ctx context.Context, dropletID int64, kind string, since time.Time) ([]Action, error) {
	all, err := r.Actions(ctx, dropletID, since)
	if err != nil {
		return nil, fmt.Errorf("find %s actions: %w", kind, err)
	}
	return slices.DeleteFunc(all, func(a Action) bool {
		return a.Type != kind || a.StartedAt.Before(since.Add(-Slack))
	}), nil
}

// busyLookback is how old an action may be and still be under way; a snapshot of
// a full disk takes hours.
const busyLookback = 24 * time.Hour

// Busy returns the droplet's action in progress, and whether there is one.
func (r *Reader) Busy(ctx context.Context, dropletID int64) (Action, bool, error) {
	all, err := r.Actions(ctx, dropletID, time.Now().Add(-busyLookback))
	if err != nil {
		return Action{}, false, fmt.Errorf("look for an action in progress: %w", err)
	}
	for _, a := range all {
		if a.Status == InProgress {
			return a, true, nil
		}
	}
	return Action{}, false, nil
}

func actionOf(a godo.Action) Action {
	own := Action{ID: int64(a.ID), DropletID: int64(a.ResourceID), Type: a.Type, Status: a.Status, Region: a.RegionSlug}
	if a.StartedAt != nil {
		own.StartedAt = a.StartedAt.Time
	}
	if a.CompletedAt != nil {
		own.CompletedAt = a.CompletedAt.Time
	}
	return own
}
