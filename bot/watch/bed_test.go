package watch_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/synth"
)

// memory is a finding.Store that forgets.
type memory struct {
	mu sync.Mutex
	by map[string]finding.Finding
}

func (m *memory) OpenFinding(_ context.Context, f finding.Finding) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.by {
		if x.Subject.Key() == f.Subject.Key() && !x.State.Final() {
			return finding.ErrConflict
		}
	}
	m.by[f.ID] = f
	return nil
}

func (m *memory) Finding(_ context.Context, id string) (finding.Finding, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.by[id]
	if !ok {
		return f, finding.ErrNotFound
	}
	return f, nil
}

func (m *memory) LiveFinding(_ context.Context, key string) (finding.Finding, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.by {
		if x.Subject.Key() == key && !x.State.Final() {
			return x, nil
		}
	}
	return finding.Finding{}, finding.ErrNotFound
}

func (m *memory) Findings(_ context.Context, q finding.Filter) (out []finding.Finding, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.by {
		if q.Live && x.State.Final() || q.DropletID != "" && q.DropletID != x.Subject.DropletID || q.Worker != "" && q.Worker != x.Subject.Worker {
			continue
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b finding.Finding) int { return a.Opened.Compare(b.Opened) })
	return out, nil
}

func (m *memory) UpdateFinding(_ context.Context, f finding.Finding) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by[f.ID].Version != f.Version {
		return finding.ErrConflict
	}
	f.Version++
	m.by[f.ID] = f
	return nil
}

// series serves what was measured up to the moment asked about.
type series struct {
	workers  map[string][]detector.Worker // by droplet id
	droplets map[string]detector.Droplet
	seen     []history.Presence
	broken   map[string]error   // by droplet id
	fatal    string             // id of a droplet that panics
	fromTo   [2]time.Time       // of the last query
	held     []detector.Point   // tasks that wait in each worker, where counted
	whole    []history.Coverage // what each source told of a droplet
}

func (s *series) Workers(_ context.Context, q history.Query) (out []detector.Worker, _ error) {
	id := q.DropletIDs[0]
	if id == s.fatal {
		panic("no such sample")
	}
	if q.Tasks {
		return nil, nil // nobody counted any
	}
	s.fromTo = [2]time.Time{q.From, q.To}
	for _, w := range s.workers[id] {
		out = append(out, upTo(w, q.To))
	}
	return out, s.broken[id]
}

func (s *series) Droplets(_ context.Context, q history.Query) (out []detector.Droplet, _ error) {
	d, ok := s.droplets[q.DropletIDs[0]]
	if !ok {
		return nil, nil
	}
	d.Available = pointsUpTo(d.Available, q.To)
	others := make([]detector.Other, len(d.Others))
	for i, o := range d.Others {
		others[i] = detector.Other{Name: o.Name, Memory: pointsUpTo(o.Memory, q.To)}
	}
	d.Others = others
	return []detector.Droplet{d}, nil
}

func (s *series) Digest(ctx context.Context, id string, from, to time.Time) (history.Digest, error) {
	q := history.Query{DropletIDs: []string{id}, From: from, To: to}
	workers, err := s.Workers(ctx, q)
	if err != nil {
		return history.Digest{}, err
	}
	var d history.Digest
	for _, w := range workers {
		d.Workers = append(d.Workers, history.WorkerDigest{Summary: detector.Summarize(w, detector.Options{}), Recent: w})
	}
	hosts, err := s.Droplets(ctx, q)
	for _, h := range hosts {
		d.Host = detector.SummarizeDroplet(h, to)
		if n := len(h.Available); n > 0 {
			d.Available = h.Available[n-1].V
		}
	}
	return d, err
}

func (s *series) Held(_ context.Context, _, _ string, _, to time.Time) ([]detector.Point, error) {
	return pointsUpTo(s.held, to), nil
}

func (s *series) Coverage(context.Context, string, time.Time, time.Time) ([]history.Coverage, error) {
	return s.whole, s.broken["whole"]
}

func (s *series) Seen(context.Context) ([]history.Presence, error) { return s.seen, s.broken["seen"] }

func upTo(w detector.Worker, at time.Time) detector.Worker {
	var lives []detector.Life
	for _, l := range w.Lives {
		i := 0
		for i < len(l.Samples) && !l.Samples[i].At.After(at) {
			i++
		}
		if l.Samples = slices.Clone(l.Samples[:i]); i > 0 {
			lives = append(lives, l)
		}
	}
	w.Lives = lives
	w.Events = slices.DeleteFunc(slices.Clone(w.Events), func(e detector.Event) bool { return e.At.After(at) })
	return w
}

func pointsUpTo(ps []detector.Point, at time.Time) []detector.Point {
	i := 0
	for i < len(ps) && !ps[i].At.After(at) {
		i++
	}
	return slices.Clone(ps[:i])
}

// bed is a watch over one droplet, with what it told.
type bed struct {
	t *testing.T
	*series
	store *memory
	fleet []watch.Droplet
	aged  time.Duration // of the list of droplets
	w     *watch.Watch  // made by the first scan
	at    time.Time     // of the scan under way
	told  []watch.Change
	post  bool // give each told finding a message, as the chat does
	deaf  bool // telling fails
	scale schedule.Scale
	limit float64
	every time.Duration               // between scans, where they are far apart
	most  func(limit float64) float64 // the threshold; nil: none

	sources []watch.Source // who is expected to tell; nil: whoever told
}

var web = watch.Droplet{ID: "1", Name: "web-1"}

func newBed(t *testing.T, workers ...detector.Worker) *bed {
	return &bed{t: t, store: &memory{by: map[string]finding.Finding{}}, fleet: []watch.Droplet{web}, post: true,
		series: &series{workers: map[string][]detector.Worker{web.ID: workers}, droplets: map[string]detector.Droplet{}, broken: map[string]error{}}}
}

func (b *bed) watch() *watch.Watch {
	return watch.New(watch.Options{Sources: func(context.Context) ([]watch.Source, error) { return b.sources, b.broken["sources"] },
		Series: b.series, Findings: b.store, Scale: b.scale,
		Fleet: func(context.Context) (watch.Fleet, error) {
			return watch.Fleet{Droplets: b.fleet, Listed: b.at.Add(-b.aged)}, b.broken["fleet"]
		},
		Every: func(time.Time) time.Duration { return b.every },
		Limit: func(watch.Droplet, string) float64 { return b.limit },
		Threshold: func(_ watch.Droplet, _ string, limit float64) float64 {
			if b.most == nil {
				return 0
			}
			return b.most(limit)
		},
		Changed: func(ctx context.Context, c watch.Change) error {
			b.told = append(b.told, c)
			if b.deaf {
				return errors.New("Slack is away")
			}
			if b.post {
				b.change(c.Finding.ID, func(f *finding.Finding) { f.MessageTS = "1" })
			}
			return nil
		}})
}

// scan scans once and says in short what was told: "opened mailer leak".
func (b *bed) scan(at time.Time) string {
	b.t.Helper()
	told, err := b.scanned(at)
	if err != nil {
		b.t.Fatal(err)
	}
	return told
}

func (b *bed) scanned(at time.Time) (string, error) {
	b.told, b.at = nil, at
	if b.w == nil {
		b.w = b.watch()
	}
	_, err := b.w.Scan(b.t.Context(), at)
	var words []string
	for _, c := range b.told {
		s := c.Finding.Subject
		words = append(words, strings.TrimSpace(fmt.Sprintf("%s %s %s", c.What, s.Kind, cmp.Or(s.Source, s.Worker))))
	}
	slices.Sort(words)
	return strings.Join(words, ", "), err
}

func (b *bed) change(id string, fn func(*finding.Finding)) {
	b.t.Helper()
	if _, err := finding.Change(b.t.Context(), b.store, id, func(f *finding.Finding) error { fn(f); return nil }); err != nil {
		b.t.Fatal(err)
	}
}

// the returns the only live finding.
func (b *bed) the() finding.Finding {
	b.t.Helper()
	live, err := b.store.Findings(b.t.Context(), finding.Filter{Live: true})
	if err != nil || len(live) != 1 {
		b.t.Fatalf("%d live findings, want one: %v", len(live), err)
	}
	return live[0]
}

// made plays one case of a family; its worker is called mailer.
func made(t *testing.T, family string, seed uint64, days float64) synth.Case {
	t.Helper()
	i := slices.IndexFunc(synth.Families(), func(f synth.Family) bool { return f.Name == family })
	c := synth.Families()[i].Make(seed, synth.Params{Days: days, Every: 4 * time.Minute})
	c.Worker.Name, c.Worker.Droplet = "mailer", web.ID
	return c
}

// line is a worker whose one process follows a curve, every two minutes.
func line(name string, from, to time.Time, rss func(hours float64) float64) detector.Worker {
	l := detector.Life{PID: 7, Start: from.Add(-time.Minute), Role: detector.RoleParent, Slot: "main"}
	nan := nan()
	for i, at := 0, from; at.Before(to); i, at = i+1, at.Add(2*time.Minute) {
		// Half a page of wobble, as real processes have.
		v := rss(at.Sub(from).Hours()) + float64((i*7919)%13)*4096
		l.Samples = append(l.Samples, detector.Sample{At: at, RSS: v, Swap: 0, PSS: nan, USS: nan, CPU: float64(i)})
	}
	return detector.Worker{Name: name, Droplet: web.ID, Pool: detector.PoolSolo, Lives: []detector.Life{l}}
}
