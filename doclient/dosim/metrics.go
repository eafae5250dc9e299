package dosim

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// step is the spacing of metric points that DigitalOcean's examples show.
const step = 120 * time.Second

func (s *Sim) memoryAvailable(q *request) reply {
	return s.memory(q, func(available, _ int64) int64 { return available })
}

func (s *Sim) memoryTotal(q *request) reply {
	return s.memory(q, func(_, total int64) int64 { return total })
}

// memory answers one metric of one droplet as a Prometheus matrix. A host that
// does not exist and one without the metrics agent look alike: success, empty.
func (s *Sim) memory(q *request, pick func(available, total int64) int64) reply {
	if bad := q.only("host_id", "start", "end"); bad != nil {
		return *bad
	}
	host, errHost := strconv.Atoi(q.URL.Query().Get("host_id"))
	start, errStart := strconv.ParseInt(q.URL.Query().Get("start"), 10, 64)
	end, errEnd := strconv.ParseInt(q.URL.Query().Get("end"), 10, 64)
	if errHost != nil || errStart != nil || errEnd != nil || end < start {
		return refuse(http.StatusUnprocessableEntity, "unprocessable_entity", "host_id, start and end are required, in that order of time")
	}
	series := []any{}
	if d := s.droplets[host]; d != nil && !d.NoAgent {
		if values := s.points(d, start, end, pick); len(values) > 0 {
			series = append(series, map[string]any{
				"metric": map[string]string{"host_id": strconv.Itoa(host)}, "values": values,
			})
		}
	}
	return reply{status: http.StatusOK, body: map[string]any{
		"status": "success", "data": map[string]any{"resultType": "matrix", "result": series},
	}}
}

// points are the samples of d in [start, end], on the grid of the step, none
// from before the droplet's creation, past the retention, still under way, or
// while the droplet was down.
func (s *Sim) points(d *droplet, start, end int64, pick func(int64, int64) int64) []any {
	every := max(int64(s.scaled(step)/time.Second), 1)
	now := time.Now()
	newest := now
	if !s.kind {
		newest = now.Add(-s.scaled(30 * time.Second))
	}
	start = max(start, d.Created.Unix(), now.Add(-s.opts.Retention).Unix())
	end = min(end, newest.Unix())
	var out []any
	for at := (start + every - 1) / every * every; at <= end; at += every {
		moment := time.Unix(at, 0)
		available, total := d.Memory(moment)
		if total == 0 || d.downAt(moment) {
			continue
		}
		out = append(out, []any{at, strconv.FormatInt(pick(available, total), 10)})
	}
	return out
}

func (d *droplet) downAt(at time.Time) bool {
	for _, sp := range d.down {
		if !at.Before(sp.from) && at.Before(sp.to) {
			return true
		}
	}
	return false
}

// Recorder is a Curve that follows something real: whoever measures the memory
// of a worker or a machine calls Observe, and the droplet answers with the last
// observation at or before the moment asked about.
type Recorder struct {
	mu   sync.Mutex
	seen []observation
}

type observation struct {
	at               time.Time
	available, total int64
}

// Observe adds a measurement in bytes; moments must not go backwards.
func (r *Recorder) Observe(at time.Time, available, total int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, observation{at, available, total})
}

// Memory is the Curve; before the first observation it says "not measured".
func (r *Recorder) Memory(at time.Time) (available, total int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.seen) - 1; i >= 0; i-- {
		if !r.seen[i].at.After(at) {
			return r.seen[i].available, r.seen[i].total
		}
	}
	return 0, 0
}
