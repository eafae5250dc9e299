package doclient

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/digitalocean/godo"
)

// Sample is a number of bytes at a moment.
type Sample struct {
	At    time.Time
	Bytes int64
}

// Memory is what a droplet's metrics agent measured within a window, oldest
// first. Used memory is Total less Available; the plan's size is not Total.
type Memory struct {
	DropletID int64
	Available []Sample // the kernel's MemAvailable, about every two minutes, never empty

	// Total is the kernel's MemTotal. It changes only with a resize, so it is
	// fetched rarely; between fetches it is the last one known, alone. It is
	// empty while none is known.
	Total []Sample
}

// Memory returns a droplet's memory between two moments, both included. It
// costs one request, and a second when memory_total is due (Options.TotalEvery),
// or when available exceeds it, as after a resize. Without a usable sample the
// error is [ErrNoData].
func (r *Reader) Memory(ctx context.Context, id int64, from, to time.Time) (Memory, error) {
	op := fmt.Sprintf("read memory of droplet %d", id)
	if id < 1 || to.Before(from) {
		return Memory{}, fmt.Errorf("%s: from %v to %v is no window of a droplet", op, from, to)
	}
	args := &godo.DropletMetricsRequest{HostID: strconv.FormatInt(id, 10), Start: from, End: to}
	m := Memory{DropletID: id}
	var err error
	if m.Available, err = series(op, id, r.api.Monitoring.GetDropletAvailableMemory, ctx, args); err != nil {
		return Memory{}, err
	}
	if len(m.Available) == 0 {
		return Memory{}, fmt.Errorf("%s: %w", op, ErrNoData)
	}
	newest := m.Available[len(m.Available)-1].Bytes
	if last, due := r.totals.due(id, newest, r.opts.TotalEvery); !due {
		m.Total = []Sample{last}
		return m, nil
	}
	if m.Total, err = series("total "+op, id, r.api.Monitoring.GetDropletTotalMemory, ctx, args); err != nil {
		return Memory{}, err
	}
	if len(m.Total) > 0 {
		r.totals.keep(id, m.Total[len(m.Total)-1])
	}
	return m, nil
}

type getMetric = func(context.Context, *godo.DropletMetricsRequest) (*godo.MetricsResponse, *godo.Response, error)

func series(op string, id int64, get getMetric, ctx context.Context, args *godo.DropletMetricsRequest) ([]Sample, error) {
	doc, resp, err := get(ctx, args) // beside an error, doc is empty but not nil
	if err := explain(op, []string{"monitoring:read"}, err); err != nil {
		return nil, err
	}
	if doc.Status != "success" {
		return nil, &Error{Op: op, Status: resp.StatusCode, Message: cut("with status " + strconv.Quote(doc.Status))}
	}
	samples, err := samplesOf(id, doc.Data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return samples, nil
}

// samplesOf takes the possible samples of a matrix, ordered, the last of equal
// moments: NaN, null (which decodes to 0), zero and negative bytes are dropped.
func samplesOf(id int64, data godo.MetricsData) ([]Sample, error) {
	at := map[int64]int64{}
	for _, stream := range data.Result {
		if host, ok := stream.Metric["host_id"]; ok && string(host) != strconv.FormatInt(id, 10) {
			return nil, fmt.Errorf("answer is about host %s", cut(string(host)))
		}
		for _, v := range stream.Values {
			if b := float64(v.Value); b >= 1 && b < math.MaxInt64 && v.Timestamp > 0 {
				at[int64(v.Timestamp)] = int64(b)
			}
		}
	}
	out := make([]Sample, 0, len(at))
	for ms, b := range at {
		out = append(out, Sample{At: time.UnixMilli(ms), Bytes: b})
	}
	slices.SortFunc(out, func(a, b Sample) int { return a.At.Compare(b.At) })
	return out, nil
}

// totals remembers each droplet's last memory_total and when it was fetched.
type totals struct {
	mu    sync.Mutex
	known map[int64]total
}

type total struct {
	last    Sample
	fetched time.Time
}

func (t *totals) due(id, available int64, every time.Duration) (Sample, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.known[id]
	return k.last, !ok || time.Since(k.fetched) >= every || available > k.last.Bytes
}

func (t *totals) keep(id int64, s Sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[id] = total{last: s, fetched: time.Now()}
}

// Window is what to ask for when samples up to have are held: from the overlap
// before it, since points arrive late and out of step, until now; never more
// than most back. With nothing held (a zero have) it is all of most.
func Window(have, now time.Time, overlap, most time.Duration) (from, to time.Time) {
	from = now.Add(-most)
	if have.After(now) {
		have = now // a clock was set back; what it had measured "later" is asked again
	}
	if start := have.Add(-overlap); !have.IsZero() && start.After(from) {
		from = start
	}
	return from, now
}

// Span is a stretch of time.
type Span struct{ From, To time.Time }

// Spans cuts a long window into spans of at most size, newest first: a backfill
// asks for them one by one, because the spacing of points is only known for
// short windows, and stops at the first that has [ErrNoData].
func Spans(from, to time.Time, size time.Duration) []Span {
	var out []Span
	for size > 0 && to.After(from) {
		start := to.Add(-size)
		if start.Before(from) {
			start = from
		}
		out = append(out, Span{start, to})
		to = start
	}
	return out
}
