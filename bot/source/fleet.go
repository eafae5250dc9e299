package source

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/dropleak/dropleak/doclient"
)

// Fleet is the list of droplets that carry the tag.
type Fleet struct {
	Droplets []doclient.Droplet
	Listed   time.Time // when DigitalOcean gave it
}

const (
	refresh = 5 * time.Minute // how old the list of droplets may get
	keep    = time.Hour       // how old the kept one may get while nothing changes
)

// Fleet returns the droplets with the tag, from a list that is at most five
// minutes old; an older one serves while the API does not answer, or while
// somebody else is asking it. The last list is kept, so that there is one
// after a restart while the API is away.
func (d *DigitalOcean) Fleet(ctx context.Context) (Fleet, error) {
	if fleet, fresh := d.held(); fresh {
		return fleet, nil
	}
	select {
	case d.listing <- struct{}{}:
		defer func() { <-d.listing }()
	default:
		return d.wait(ctx)
	}
	if fleet, fresh := d.held(); fresh {
		return fleet, nil // it was listed a moment ago
	}
	droplets, err := d.o.Cloud.Droplets(ctx, d.o.Tag)
	if err != nil {
		return d.older(ctx, err) // which says what was asked for
	}
	fleet := Fleet{Droplets: droplets, Listed: time.Now()}
	d.mu.Lock()
	d.fleet, d.listErr = fleet, nil
	d.mu.Unlock()
	if err := d.keepFleet(ctx, fleet); err != nil {
		d.o.Log.Error("keep the list of droplets for the next start", "err", err)
	}
	return fleet, nil
}

// held returns the last list, and whether it is fresh.
func (d *DigitalOcean) held() (Fleet, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fleet, !d.fleet.Listed.IsZero() && d.listErr == nil && time.Since(d.fleet.Listed) < d.o.Scale.Real(refresh)
}

// wait returns the last list, or waits for the first one, which somebody else
// is asking for.
func (d *DigitalOcean) wait(ctx context.Context) (Fleet, error) {
	if fleet, _ := d.held(); !fleet.Listed.IsZero() {
		return fleet, nil
	}
	select {
	case <-ctx.Done():
		return Fleet{}, fmt.Errorf("list droplets tagged %s: %w", d.o.Tag, ctx.Err())
	case d.listing <- struct{}{}:
		<-d.listing
		return d.Fleet(ctx)
	}
}

// older returns the last list in place of one that could not be had, be it
// from before the start; without any, the error.
func (d *DigitalOcean) older(ctx context.Context, why error) (Fleet, error) {
	fleet, _ := d.held()
	if fleet.Listed.IsZero() {
		var err error
		if fleet, err = d.keptFleet(context.WithoutCancel(ctx)); err != nil {
			d.o.Log.Error("read the list of droplets kept before the start", "err", err)
		}
	}
	d.mu.Lock()
	d.fleet, d.listErr = fleet, why
	d.mu.Unlock()
	if fleet.Listed.IsZero() {
		return Fleet{}, why
	}
	d.o.Log.Warn("list droplets; the last list serves", "age", time.Since(fleet.Listed), "err", why)
	return fleet, nil
}

// fleetCursor is where the last list is kept.
const fleetCursor = "digitalocean/fleet"

// keptList is the list as it is kept.
type keptList struct {
	Tag      string             `json:"tag"` // one of another tag is not ours
	Listed   time.Time          `json:"listed"`
	Droplets []doclient.Droplet `json:"droplets"`
}

// keepFleet keeps a list that says something new, or that is much newer.
func (d *DigitalOcean) keepFleet(ctx context.Context, f Fleet) error {
	if f.Listed.Sub(d.kept.Listed) < d.o.Scale.Real(keep) && reflect.DeepEqual(f.Droplets, d.kept.Droplets) {
		return nil
	}
	text, err := json.Marshal(keptList{d.o.Tag, f.Listed.UTC(), f.Droplets})
	if err != nil {
		return err
	}
	if err := d.o.Cursors.SetCursor(ctx, fleetCursor, string(text)); err != nil {
		return err
	}
	d.kept = f
	return nil
}

// keptFleet returns the list that was kept, or none.
func (d *DigitalOcean) keptFleet(ctx context.Context) (Fleet, error) {
	text, err := d.o.Cursors.Cursor(ctx, fleetCursor)
	if err != nil || text == "" {
		return Fleet{}, err
	}
	var k keptList
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return Fleet{}, fmt.Errorf("cursor %s: %w", fleetCursor, err)
	}
	if k.Tag != d.o.Tag {
		return Fleet{}, nil
	}
	return Fleet{Droplets: k.Droplets, Listed: k.Listed}, nil
}
