package doclient

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/digitalocean/godo"
)

// Snapshot is a finished snapshot of a droplet's disk. It holds neither memory
// nor attached volumes. One in progress is not listed anywhere.
type Snapshot struct {
	ID         string // a number, in the API's snapshot form
	DropletID  int64
	Name       string
	Regions    []string  // slugs
	MinDiskGiB int       // the smallest disk it can be restored to
	SizeGB     float64   // what is billed
	CreatedAt  time.Time // when its action started, not when it completed
}

// Snapshots returns a droplet's finished snapshots. Backups, which the API lists
// beside them, are left out.
func (r *Reader) Snapshots(ctx context.Context, dropletID int64) ([]Snapshot, error) {
	images, err := pages(fmt.Sprintf("list snapshots of droplet %d", dropletID), []string{"droplet:read"},
		func(opt *godo.ListOptions) ([]godo.Image, *godo.Response, error) {
			return r.api.Droplets.Snapshots(ctx, int(dropletID), opt)
		})
	if err != nil {
		return nil, err
	}
	seen, out := map[int]bool{}, []Snapshot{}
	for _, im := range images {
		if im.Type != "snapshot" || seen[im.ID] {
			continue
		}
		seen[im.ID] = true
		out = append(out, Snapshot{
			ID: strconv.Itoa(im.ID), DropletID: dropletID, Name: im.Name, Regions: im.Regions,
			MinDiskGiB: im.MinDiskSize, SizeGB: im.SizeGigaBytes, CreatedAt: moment(im.Created),
		})
	}
	return out, nil
}

// SnapshotByName returns a droplet's finished snapshot of that name, which is
// how the snapshot of an action is found: the action does not say its id. It is
// [ErrNotFound] when there is none (yet) and [ErrAmbiguous] when there are several.
func (r *Reader) SnapshotByName(ctx context.Context, dropletID int64, name string) (Snapshot, error) {
	all, err := r.Snapshots(ctx, dropletID)
	if err != nil {
		return Snapshot{}, err
	}
	var found []Snapshot
	for _, s := range all {
		if s.Name == name {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return Snapshot{}, fmt.Errorf("snapshot %q of droplet %d: %w", name, dropletID, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return Snapshot{}, fmt.Errorf("snapshot %q of droplet %d: %w", name, dropletID, ErrAmbiguous)
}

// snapshotByID reads a snapshot through the API that also deletes it.
func (r *Reader) snapshotByID(ctx context.Context, op, id string) (Snapshot, error) {
	s, _, err := r.api.Snapshots.Get(ctx, id)
	if err := explain(op, []string{"snapshot:read"}, err); err != nil {
		return Snapshot{}, err
	}
	if s == nil {
		return Snapshot{}, fmt.Errorf("%s: answer holds no snapshot", op)
	}
	own := Snapshot{
		ID: s.ID, Name: s.Name, Regions: s.Regions,
		MinDiskGiB: s.MinDiskSize, SizeGB: s.SizeGigaBytes, CreatedAt: moment(s.Created),
	}
	if s.ResourceType == "droplet" {
		own.DropletID, err = strconv.ParseInt(s.ResourceID, 10, 64)
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", op, err)
	}
	return own, nil
}
