package dosim

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Snapshot is a snapshot as the Sim keeps it, for tests to look at.
type Snapshot struct {
	ID        int
	DropletID int
	Name      string
	Created   time.Time // when its action started, as DigitalOcean stamps it
	Completed time.Time
}

type snapshot struct {
	id      int
	droplet int
	name    string
	created time.Time
	done    time.Time
	listed  time.Time // from when lists show it
	region  string
	minDisk int
	size    float64
	kind    string // "snapshot", or "backup", which the snapshots API refuses
}

// AddSnapshot puts a finished snapshot there, made long ago or by somebody
// else, and returns its id. The droplet must exist.
func (s *Sim) AddSnapshot(dropletID int, name string, created time.Time) int {
	return s.addImage(dropletID, name, created, "snapshot")
}

// AddBackup puts a finished backup of a droplet there and returns its id: the
// droplet's snapshot list shows it, the snapshots API says it is none.
func (s *Sim) AddBackup(dropletID int, name string, created time.Time) int {
	return s.addImage(dropletID, name, created, "backup")
}

func (s *Sim) addImage(dropletID int, name string, created time.Time, kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.droplets[dropletID]
	sn := &snapshot{
		id: s.id(), droplet: d.ID, name: name, created: created, done: created, listed: created,
		region: d.Region, minDisk: d.DiskGiB, size: d.UsedGiB, kind: kind,
	}
	s.snapshots = append(s.snapshots, sn)
	return sn.id
}

// Snapshots returns the finished snapshots that were not deleted.
func (s *Sim) Snapshots() []Snapshot {
	s.Settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Snapshot
	for _, sn := range s.snapshots {
		if sn.kind == "snapshot" {
			out = append(out, Snapshot{ID: sn.id, DropletID: sn.droplet, Name: sn.name, Created: sn.created, Completed: sn.done})
		}
	}
	return out
}

// addSnapshot keeps what a snapshot action made. Its id is not the action's.
func (s *Sim) addSnapshot(a *action) {
	d := s.droplets[a.DropletID]
	if d == nil {
		return
	}
	sn := &snapshot{
		id: s.id(), droplet: d.ID, name: a.name, created: a.Started, done: a.ends, listed: a.ends,
		region: d.Region, minDisk: d.DiskGiB, size: d.UsedGiB, kind: "snapshot",
	}
	if !s.kind {
		sn.listed = a.ends.Add(s.scaled(5 * time.Second))
	}
	s.snapshots = append(s.snapshots, sn)
	s.note(Entry{
		At: a.ends, Kind: KindSnapshotCreated, DropletID: d.ID, ActionID: a.ID, ActionType: a.Type,
		SnapshotID: sn.id, SnapshotName: sn.name,
	})
}

func (s *Sim) dropletSnapshots(q *request) reply {
	if bad := q.only("page", "per_page"); bad != nil {
		return *bad
	}
	id := q.id("droplet")
	if s.droplets[id] == nil {
		return notFound()
	}
	var found []any
	for _, sn := range s.visible() {
		if sn.droplet == id {
			body := sn.body()
			body["id"], body["type"] = sn.id, sn.kind
			found = append(found, body)
		}
	}
	return q.page("snapshots", found)
}

func (s *Sim) listSnapshots(q *request) reply {
	if bad := q.only("resource_type", "page", "per_page"); bad != nil {
		return *bad
	}
	if t := q.URL.Query().Get("resource_type"); t != "" && t != "droplet" {
		return unmodelled("resource_type " + t)
	}
	var found []any
	for _, sn := range s.visible() {
		if sn.kind == "snapshot" {
			found = append(found, sn.full())
		}
	}
	return q.page("snapshots", found)
}

func (s *Sim) getSnapshot(q *request) reply {
	sn, refusal := s.oneSnapshot(q)
	if sn == nil {
		return refusal
	}
	return reply{status: http.StatusOK, body: map[string]any{"snapshot": sn.full()}}
}

func (s *Sim) deleteSnapshot(q *request) reply {
	sn, refusal := s.oneSnapshot(q)
	if sn == nil {
		return refusal
	}
	s.snapshots = slices.DeleteFunc(s.snapshots, func(x *snapshot) bool { return x == sn })
	s.note(Entry{At: time.Now(), Kind: KindSnapshotDeleted, DropletID: sn.droplet, SnapshotID: sn.id, SnapshotName: sn.name})
	return reply{status: http.StatusNoContent}
}

func (s *Sim) oneSnapshot(q *request) (*snapshot, reply) {
	if bad := q.only(); bad != nil {
		return nil, *bad
	}
	for _, sn := range s.visible() {
		switch {
		case sn.id != q.id("snapshot"):
		case sn.kind != "snapshot":
			return nil, refuse(http.StatusBadRequest, "bad_request", "the resource is not a snapshot")
		default:
			return sn, reply{}
		}
	}
	return nil, notFound()
}

func (s *Sim) visible() []*snapshot {
	var out []*snapshot
	for _, sn := range s.snapshots {
		if !time.Now().Before(sn.listed) {
			out = append(out, sn)
		}
	}
	return out
}

// body is what both snapshot forms have in common; the id differs in type.
func (sn *snapshot) body() map[string]any {
	return map[string]any{
		"name": sn.name, "created_at": stamp(sn.created), "regions": []string{sn.region},
		"min_disk_size": sn.minDisk, "size_gigabytes": sn.size,
	}
}

func (sn *snapshot) full() map[string]any {
	body := sn.body()
	body["id"] = strconv.Itoa(sn.id)
	body["resource_id"], body["resource_type"], body["tags"] = strconv.Itoa(sn.droplet), "droplet", []string{}
	return body
}
