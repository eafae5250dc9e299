package source_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
)

// fetched is a fetcher that tells what it is given.
type fetched struct {
	series  []sample.Series
	missing []string
	err     error
}

func (f *fetched) Fetch(_ context.Context, take func([]sample.Series) error) ([]string, error) {
	if f.err != nil {
		return nil, f.err
	}
	var out []sample.Series
	for _, s := range f.series {
		s.Labels = slices.Clone(s.Labels)
		out = append(out, s)
	}
	return f.missing, take(out)
}

func foreign(name string, at int64, v float64, pairs ...string) sample.Series {
	s := sample.Series{Labels: []sample.Label{{Name: "__name__", Value: name}}, Points: []sample.Point{{At: at, V: v}}}
	for i := 0; i < len(pairs); i += 2 {
		s.Labels = append(s.Labels, sample.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return s
}

// kept is a feed into a store of its own.
type kept struct {
	*source.Feed
	t     *testing.T
	store *store.Store
	h     *history.History
}

func newKept(t *testing.T, o source.FeedOptions) *kept {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	k := &kept{t: t, store: s, h: history.New(s, history.Options{})}
	if o.Name == "" {
		o.Name = "feed"
	}
	o.Translate, o.Sink, o.State = hub.DefaultMappings().Translate, k.h, s
	o.Locate = func(_ context.Context, name string) (string, error) {
		return map[string]string{"42": "42", "web-1": "42", "127.0.0.1": "42", "10.0.0.5": "43"}[name], nil
	}
	k.Feed = source.NewFeed(o)
	return k
}

// holds lists what history has: droplet, name, kind, worker, slot, and values.
func (k *kept) holds() (out []string) {
	k.t.Helper()
	all, err := k.h.Select(k.t.Context(), nil, time.UnixMilli(1), time.Now().Add(time.Hour))
	if err != nil {
		k.t.Fatal(err)
	}
	for _, s := range all {
		var values []string
		for _, p := range s.Points {
			values = append(values, fmt.Sprintf("%d=%g", p.At, p.V))
		}
		out = append(out, fmt.Sprint(s.Get("droplet"), " ", strings.TrimPrefix(s.Name(), "dropleak_"), " ", s.Get("kind"), " ", s.Get("worker"), " ",
			s.Get("slot"), " ", s.Get("source"), ": ", strings.Join(values, " ")))
	}
	slices.Sort(out)
	return out
}

func (k *kept) pulls(want source.FeedState) {
	k.t.Helper()
	if err := k.Pull(k.t.Context()); (err != nil) != (want.Error != "") {
		k.t.Fatal(err)
	}
	got, ok, err := source.StateOf(k.t.Context(), k.store, k.Name())
	if err != nil || !ok {
		k.t.Fatalf("no state is kept: %v", err)
	}
	if d := cmp.Diff(k.State(), got); d != "" {
		k.t.Errorf("kept otherwise than told:\n%s", d)
	}
	if got.Asked.IsZero() || (want.Error == "") != (got.Answered.Equal(got.Asked)) {
		k.t.Errorf("asked %v, answered %v", got.Asked, got.Answered)
	}
	got.Asked, got.Answered = time.Time{}, time.Time{}
	if d := cmp.Diff(want, got); d != "" {
		k.t.Errorf("state (-want +got):\n%s", d)
	}
}

// TestFeed: what is told becomes ours; what is missing is a gap and a notice.
func TestFeed(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	a, b := now.Add(-2*time.Minute).UnixMilli(), now.Add(-time.Minute).UnixMilli()
	group := func(at int64, v float64, instance, name string) sample.Series {
		return foreign(sample.GroupMemory, at, v, "instance", instance, "groupname", name, "memtype", "resident", "job", "processes")
	}
	f := &fetched{series: []sample.Series{group(a, 100, "web-1:9256", "mail;7"), group(a, 50, "10.0.0.5:9256", "mail;8"),
		group(a, 60, "elsewhere:9256", "mail;9"), foreign("process_resident_memory_bytes", a, 70, "instance", "127.0.0.1:80"),
		foreign("node_memory_MemAvailable_bytes", a, 900, "instance", "web-1:9100"), foreign("up", a, 1, "instance", "web-1:9256")}}
	k := newKept(t, source.FeedOptions{Fetch: f})
	k.pulls(source.FeedState{Newest: time.UnixMilli(a).UTC(), Samples: 3, Unplaced: []string{"elsewhere:9256"}, Nameless: []string{"127.0.0.1:80"}})

	// The window overlaps; the process ended, which the exporter tells as 0.
	f.series = []sample.Series{group(a, 100, "web-1:9256", "mail;7"), group(b, 0, "web-1:9256", "mail;7"), group(b, 51, "10.0.0.5:9256", "mail;8")}
	k.pulls(source.FeedState{Newest: time.UnixMilli(b).UTC(), Samples: 1})
	f.series, f.missing = nil, []string{"some_metric"}
	k.pulls(source.FeedState{Newest: time.UnixMilli(b).UTC(), Missing: f.missing})
	f.missing = nil
	k.pulls(source.FeedState{Newest: time.UnixMilli(b).UTC(), Missing: []string{"any metric that is known here"}})
	f.err = errors.New("connection refused")
	k.pulls(source.FeedState{Newest: time.UnixMilli(b).UTC(), Error: "connection refused"})
	want := []string{
		fmt.Sprintf("42 droplet_memory_available_bytes    feed: %d=900", a),
		fmt.Sprintf("42 process_memory_bytes rss mail 7 feed: %d=100", a),
		fmt.Sprintf("43 process_memory_bytes rss mail 8 feed: %d=50 %d=51", a, b),
	}
	if d := cmp.Diff(want, k.holds()); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
}

// TestFeedFromTheFuture: what a wrong clock stamps is left out and told, and
// the rest is kept.
func TestFeedFromTheFuture(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	at := func(after time.Duration) int64 { return now.Add(after).UnixMilli() }
	mem := foreign("node_memory_MemAvailable_bytes", at(0), 900, "instance", "web-1:9100")
	mem.Points = append(mem.Points, sample.Point{At: at(9 * time.Minute), V: 901}, sample.Point{At: at(11 * time.Minute), V: 902})
	k := newKept(t, source.FeedOptions{Fetch: &fetched{series: []sample.Series{mem, foreign("node_memory_MemTotal_bytes", at(24*365*time.Hour), 7, "instance", "web-1:9100")}}})
	k.pulls(source.FeedState{Newest: now.Add(9 * time.Minute).UTC(), Samples: 2,
		Missing: []string{"the present: some samples are more than 10m0s ahead of this machine's clock, and were left out"}})
	want := []string{fmt.Sprintf("42 droplet_memory_available_bytes    feed: %d=900 %d=901", at(0), at(9*time.Minute))}
	if d := cmp.Diff(want, k.holds()); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
}

// TestTwoSourcesOneWorker: the same worker seen twice is one.
func TestTwoSourcesOneWorker(t *testing.T) {
	k := newKept(t, source.FeedOptions{Droplet: "42"})
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	for name, n := range map[string]int{"one": 3, "two": 5} {
		f := &fetched{}
		for i := range n {
			f.series = append(f.series, foreign(sample.GroupMemory, at.Add(time.Duration(i)*time.Minute).UnixMilli(), 100, "groupname", "mail;7", "memtype", "resident"))
		}
		o := source.FeedOptions{Name: name, Fetch: f, Droplet: "42", Sink: k.h, State: k.store, Translate: hub.DefaultMappings().Translate,
			Locate: func(_ context.Context, id string) (string, error) { return id, nil }}
		if err := source.NewFeed(o).Pull(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ws, err := k.h.Workers(t.Context(), history.Query{From: at.Add(-time.Hour), To: at.Add(time.Hour)})
	if err != nil || len(ws) != 1 || len(ws[0].Lives) != 1 || len(ws[0].Lives[0].Samples) != 5 {
		t.Fatalf("%+v, %v", ws, err)
	}
}

const ownGroups = `process_names: [{name: "mail;{{.PID}}", cmdline: ['sleep .*mail@web-1']}]`

// sleeper is a process that process-exporter finds.
func sleeper(t *testing.T) int {
	t.Helper()
	dir := testbed.Folder(t)
	return testbed.Start(t, "sleeper", dir, exec.Command("/bin/bash", "-c", "exec -a 'sleep --name mail@web-1' sleep 600")).PID()
}

// TestPrometheusAndVictoriaMetrics reads real exporters through both servers.
func TestPrometheusAndVictoriaMetrics(t *testing.T) {
	pid := sleeper(t)
	exporter, node := testbed.ProcessExporter(t, ownGroups), testbed.NodeExporter(t)
	for name, server := range map[string]*testbed.PrometheusServer{
		"prometheus": testbed.Prometheus(t, exporter.Addr, node.Addr), "victoriametrics": testbed.VictoriaMetrics(t, exporter.Addr, node.Addr)} {
		t.Run(name, func(t *testing.T) {
			k := newKept(t, source.FeedOptions{Name: name})
			k.reads(t, source.PrometheusOptions{URL: server.URL}, name)
			testbed.Eventually(t, testbed.Patience, func() error {
				if err := k.Pull(t.Context()); err != nil {
					return err
				}
				return k.sees(pid, 5)
			})
			st := k.State()
			if st.Error != "" || len(st.Missing) != 0 || time.Since(st.Newest) > time.Minute {
				t.Errorf("state %+v", st)
			}
			if err := k.regular(); err != nil {
				t.Error(err)
			}
		})
	}
}

// reads makes the feed one of a Prometheus.
func (k *kept) reads(t *testing.T, o source.PrometheusOptions, name string) {
	t.Helper()
	client, err := source.Access{}.Client(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	o.Name, o.Client, o.Cursors = name, client, k.store
	p, err := source.NewPrometheus(o)
	if err != nil {
		t.Fatal(err)
	}
	again := newKept(t, source.FeedOptions{Name: name, Fetch: p})
	k.Feed, k.h, k.store = again.Feed, again.h, again.store
}

// sees wants the worker with one process, its start, n readings and the
// droplet's memory.
func (k *kept) sees(pid, n int) error {
	q := history.Query{From: time.Now().Add(-time.Hour), To: time.Now()}
	ws, err := k.h.Workers(k.t.Context(), q)
	if err != nil {
		return err
	}
	if len(ws) != 1 || ws[0].Name != "mail" || ws[0].Droplet != "42" || len(ws[0].Lives) != 1 {
		return fmt.Errorf("workers %+v", ws)
	}
	l := ws[0].Lives[0]
	if l.Slot != fmt.Sprint(pid) || time.Since(l.Start) > 10*time.Minute || len(l.Samples) < n {
		return fmt.Errorf("slot %s of pid %d, started %v, %d readings", l.Slot, pid, l.Start, len(l.Samples))
	}
	if s := l.Samples[len(l.Samples)-1]; !(s.RSS > 100<<10) || !(s.PSS > 0 && s.PSS <= s.RSS) || s.Swap < 0 {
		return fmt.Errorf("it holds %+v", s)
	}
	ds, err := k.h.Droplets(k.t.Context(), q)
	if err != nil || len(ds) != 1 || len(ds[0].Available) < n || ds[0].Total < 1<<28 {
		return fmt.Errorf("droplets %+v, %w", ds, err)
	}
	return nil
}

// regular wants a reading a second and no reading twice.
func (k *kept) regular() error {
	all, err := k.h.Select(k.t.Context(), []history.Matcher{history.Is("kind", "rss")}, time.Now().Add(-time.Hour), time.Now())
	if err != nil || len(all) != 1 {
		return fmt.Errorf("%d series, %w", len(all), err)
	}
	ps := all[0].Points
	if span := ps[len(ps)-1].At - ps[0].At; span > int64(len(ps)+3)*1000 || span < int64(len(ps)-3)*1000 {
		return fmt.Errorf("%d readings in %d ms", len(ps), span)
	}
	return nil
}

// TestPrometheusGap: a server that was away, and a process that came and
// went, leave gaps; nothing in them is made up.
func TestPrometheusGap(t *testing.T) {
	server := testbed.Prometheus(t)
	from := time.Now().Add(-50 * time.Minute).Truncate(time.Minute)
	to, err := history.NewRemote(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	var past []sample.Series
	for m := range 40 {
		if m < 10 || m > 25 {
			past = append(past, foreign(sample.GroupMemory, from.Add(time.Duration(m)*time.Minute).UnixMilli(), 1<<20, "droplet", "42", "groupname", "mail;7", "memtype", "resident"))
		}
	}
	if err := to.Write(t.Context(), past); err != nil {
		t.Fatal(err)
	}
	k := newKept(t, source.FeedOptions{})
	k.reads(t, source.PrometheusOptions{URL: server.URL}, "prometheus")
	if err := k.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	ws, err := k.h.Workers(t.Context(), history.Query{From: from.Add(-time.Hour), To: time.Now()})
	if err != nil || len(ws) != 1 || len(ws[0].Lives[0].Samples) != 24 || len(ws[0].Gaps) != 1 {
		t.Fatalf("%+v, %v", ws, err)
	}
	if g := ws[0].Gaps[0]; g.To.Sub(g.From) != 17*time.Minute {
		t.Errorf("the gap is %v", g)
	}
	// What the operator writes is asked for, and missed by name.
	k.reads(t, source.PrometheusOptions{URL: server.URL, Queries: []string{"nothing_of_the_kind", "sum by (droplet, worker) (namedprocess_namegroup_memory_bytes) * 2"}}, "own")
	if err := k.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := k.State(); !slices.Equal(st.Missing, []string{"nothing_of_the_kind"}) || !slices.Equal(st.Nameless, []string{"42"}) {
		t.Errorf("state %+v", st)
	}
	k.reads(t, source.PrometheusOptions{URL: server.URL, Queries: []string{"sum(("}}, "wrong")
	if err := k.Pull(t.Context()); err == nil || !strings.Contains(k.State().Error, "parse error") {
		t.Errorf("a query that is none: %v, %+v", err, k.State())
	}
}

// TestTooMuchAtOnce: a window that a server refuses is asked for in parts, and
// only from where it broke off.
func TestTooMuchAtOnce(t *testing.T) {
	var spans []string
	broken := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.FormValue("query")
		span, err := time.ParseDuration(q[strings.Index(q, "[")+1 : len(q)-1])
		spans = append(spans, span.Round(time.Minute).String())
		w.Header().Set("Content-Type", "application/json")
		switch {
		case err != nil:
			t.Error(err)
		case len(spans) == 5 && broken:
			w.WriteHeader(http.StatusBadGateway)
		case span > 2*time.Hour+time.Minute:
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}`)
		default:
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
		}
	}))
	defer server.Close()
	k := newKept(t, source.FeedOptions{})
	k.reads(t, source.PrometheusOptions{URL: server.URL, Queries: []string{"m"}, Backfill: 8 * time.Hour}, "p")
	if err := k.Pull(t.Context()); err == nil {
		t.Error("a bad gateway is no error")
	}
	broken = false
	if err := k.Pull(t.Context()); err != nil {
		t.Error(err)
	}
	// 2 h of the eight first, being the oldest; of six, halves and their halves.
	want := []string{"2h0m0s", "6h0m0s", "3h0m0s", "1h30m0s", "1h30m0s"}
	if !slices.Equal(spans[:5], want) || spans[5] == "2h0m0s" {
		t.Errorf("asked for %v", spans)
	}
}

// TestExporters scrapes the real ones without a Prometheus.
func TestExporters(t *testing.T) {
	pid := sleeper(t)
	exporter, node := testbed.ProcessExporter(t, ownGroups), testbed.NodeExporter(t)
	k := newKept(t, source.FeedOptions{})
	for _, e := range []*testbed.Exporter{exporter, node} {
		url := "http://" + e.Addr + "/metrics"
		client, err := source.Access{}.Client(url)
		if err != nil {
			t.Fatal(err)
		}
		x, err := source.NewExporter(url, client)
		if err != nil {
			t.Fatal(err)
		}
		f := source.NewFeed(source.FeedOptions{Name: "exporters", Fetch: x, Droplet: "42", Translate: hub.DefaultMappings().Translate,
			Locate: func(_ context.Context, id string) (string, error) { return id, nil }, Sink: k.h, State: k.store})
		for range 3 {
			if err := f.Pull(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if st := f.State(); len(st.Missing)+len(st.Nameless)+len(st.Unplaced) > 0 {
			t.Errorf("state %+v", st)
		}
	}
	if err := k.sees(pid, 3); err != nil {
		t.Error(err)
	}
}

// TestAccess: what authenticates goes to the server it is for, and nowhere
// else; an answer without end ends.
func TestAccess(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked elsewhere", r.URL) }))
	defer elsewhere.Close()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		heard = append(heard, r.Header.Get("Authorization"))
		mu.Unlock()
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case "/late":
			<-r.Context().Done()
		default:
			fmt.Fprint(w, "m 1\n", strings.Repeat("# comment\n", 1000))
		}
	}))
	defer server.Close()
	scrape := func(a source.Access, path string) error {
		client, err := a.Client(server.URL)
		if err != nil {
			return err
		}
		x, err := source.NewExporter(server.URL+path, client)
		if err != nil {
			return err
		}
		_, err = x.Fetch(t.Context(), func([]sample.Series) error { return nil })
		return err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for _, c := range []struct {
		a          source.Access
		path, want string
	}{
		{source.Access{}, "/", "certificate"},
		{source.Access{CA: []byte("none")}, "/", "no certificate"},
		{source.Access{CA: ca, Token: "sesame"}, "/", ""},
		{source.Access{CA: ca, User: "u", Password: "p"}, "/", ""},
		{source.Access{CA: ca, Token: "sesame"}, "/away", "sends elsewhere"},
		{source.Access{CA: ca, MaxBody: 100}, "/", "too large"},
		{source.Access{CA: ca, Timeout: 50 * time.Millisecond}, "/late", "exceeded"},
	} {
		err := scrape(c.a, c.path)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.path, err, c.want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if text, _ := json.Marshal(heard[:2]); string(text) != `["Bearer sesame","Basic dTpw"]` {
		t.Errorf("heard %s", text)
	}
}
