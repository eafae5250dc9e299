package dosim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Curve is a droplet's memory over time: available and total bytes at a moment,
// as its kernel would say. It is asked about the past as well as the present. A
// total of 0 means that nothing was measured then, and no point is answered.
type Curve func(at time.Time) (available, total int64)

// Droplet describes a droplet to add. ID is needed; the rest has defaults.
type Droplet struct {
	ID        int
	Name      string    // default "droplet-ID"
	Tags      []string  // none by default
	Region    string    // slug, default "nyc3"
	MemoryMiB int       // of the plan, default 1024; a multiple of 8
	VCPUs     int       // default 1
	DiskGiB   int       // default 25
	UsedGiB   float64   // size of its snapshots, default 2.34
	Features  []string  // default "monitoring"
	Created   time.Time // default 30 days ago
	Memory    Curve     // default: 60 % of 98 % of the plan available
	GPU       bool      // listed only with type=gpus, as for real
	Off       bool      // switched off in the control panel, as its status says
	NoAgent   bool      // no metrics agent: memory endpoints answer empty
}

type droplet struct {
	Droplet
	down []span // while an action kept it from running
}

type span struct{ from, to time.Time }

// AddDroplet adds a droplet, or replaces the one with the same id.
func (s *Sim) AddDroplet(d Droplet) {
	d.Name = cmp.Or(d.Name, fmt.Sprintf("droplet-%d", d.ID))
	d.Region = cmp.Or(d.Region, "nyc3")
	d.MemoryMiB = cmp.Or(d.MemoryMiB, 1024)
	d.VCPUs = cmp.Or(d.VCPUs, 1)
	d.DiskGiB = cmp.Or(d.DiskGiB, 25)
	d.UsedGiB = cmp.Or(d.UsedGiB, 2.34)
	if d.Features == nil {
		d.Features = []string{"monitoring"}
	}
	if d.Created.IsZero() {
		d.Created = time.Now().Add(-30 * 24 * time.Hour)
	}
	if d.Memory == nil {
		total := int64(d.MemoryMiB) << 20 / 100 * 98
		d.Memory = func(time.Time) (int64, int64) { return total / 10 * 6, total }
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.droplets[d.ID] = &droplet{Droplet: d}
}

// SetAgent says whether the droplet's metrics agent runs; without it the memory
// endpoints answer success and nothing.
func (s *Sim) SetAgent(dropletID int, running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.droplets[dropletID]; d != nil {
		d.NoAgent = !running
	}
}

// RemoveDroplet destroys a droplet; its snapshots stay, as they do for real.
func (s *Sim) RemoveDroplet(dropletID int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.droplets, dropletID)
}

func (s *Sim) listDroplets(q *request) reply {
	if bad := q.only("tag_name", "type", "page", "per_page"); bad != nil {
		return *bad
	}
	tag, kind := q.URL.Query().Get("tag_name"), q.URL.Query().Get("type")
	if kind != "" && kind != "droplets" && kind != "gpus" {
		return unmodelled("droplets of type " + kind)
	}
	var found []any
	for _, d := range s.sortedDroplets() {
		if d.GPU == (kind == "gpus") && (tag == "" || slices.Contains(d.Tags, tag)) {
			found = append(found, s.dropletBody(d))
		}
	}
	return q.page("droplets", found)
}

func (s *Sim) getDroplet(q *request) reply {
	if bad := q.only(); bad != nil {
		return *bad
	}
	d := s.droplets[q.id("droplet")]
	if d == nil {
		return notFound()
	}
	return reply{status: http.StatusOK, body: map[string]any{"droplet": s.dropletBody(d)}}
}

func (s *Sim) sortedDroplets() []*droplet {
	out := make([]*droplet, 0, len(s.droplets))
	for _, d := range s.droplets {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *droplet) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// dropletBody is a droplet in the documented form, with every required member.
func (s *Sim) dropletBody(d *droplet) map[string]any {
	slug := fmt.Sprintf("s-%dvcpu-%dgb", d.VCPUs, max(1, d.MemoryMiB/1024))
	ids := []int{}
	for _, sn := range s.snapshots {
		if sn.droplet == d.ID && !time.Now().Before(sn.listed) {
			ids = append(ids, sn.id)
		}
	}
	return map[string]any{
		"id": d.ID, "name": d.Name, "memory": d.MemoryMiB, "vcpus": d.VCPUs, "disk": d.DiskGiB,
		"locked": s.busy(d.ID) != nil, "status": map[bool]string{true: "off", false: "active"}[d.Off], "created_at": stamp(d.Created),
		"features": d.Features, "backup_ids": []int{}, "next_backup_window": nil, "snapshot_ids": ids,
		"image": map[string]any{
			"id": 53893572, "name": "12 x64", "distribution": "Debian", "slug": "debian-12-x64", "public": true,
			"regions": []string{d.Region}, "created_at": stamp(d.Created), "min_disk_size": 7,
			"type": "base", "size_gigabytes": 2.34, "tags": []string{}, "status": "available",
		},
		"volume_ids": []string{}, "size_slug": slug,
		"size": map[string]any{
			"slug": slug, "memory": d.MemoryMiB, "vcpus": d.VCPUs, "disk": d.DiskGiB, "transfer": 1.0,
			"price_monthly": 6.0, "price_hourly": 0.00893, "regions": []string{d.Region},
			"available": true, "description": "Basic",
		},
		"networks": map[string]any{
			"v4": []any{map[string]any{"ip_address": "192.0.2.10", "netmask": "255.255.255.0", "gateway": "192.0.2.1", "type": "public"}},
			"v6": []any{},
		},
		"region": regionBody(d.Region), "tags": append([]string{}, d.Tags...),
	}
}

func regionBody(slug string) map[string]any {
	return map[string]any{
		"name": "Region " + slug, "slug": slug, "available": true,
		"features": []string{"monitoring", "backups"}, "sizes": []string{"s-1vcpu-1gb"},
	}
}

// stamp is a time as the API writes it: UTC, whole seconds.
func stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }
