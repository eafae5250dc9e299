package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"
)

// world is a hub over a store, reached as agents do.
type world struct {
	t       *testing.T
	store   *store.Store
	history *history.History
	hub     *hub.Hub
	mu      sync.Mutex
	clones  []hub.Clone
}

func newWorld(t *testing.T, s *store.Store, o hub.Options) *world {
	w := &world{t: t, store: s, history: history.New(s, history.Options{})}
	o.OnClone = func(_ context.Context, c hub.Clone) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.clones = append(w.clones, c)
	}
	o.InTag = func(_ context.Context, tag, droplet string) (bool, error) {
		return tag == "celery" && (droplet == "42" || droplet == "43"), nil
	}
	w.hub = hub.New(s, w.history, o)
	return w
}

// token makes a token and returns its secret.
func (w *world) token(tok hub.Token) string {
	w.t.Helper()
	tok.Name = cmp.Or(tok.Name, "test")
	_, secret, err := hub.Create(w.t.Context(), w.store, tok)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

func (w *world) agent(droplet string) string {
	return w.token(hub.Token{Kind: hub.Agent, Droplet: droplet})
}

// request is one request to the hub; headers are name, value pairs.
func (w *world) request(method, path, secret string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, body)
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.hub.Handler().ServeHTTP(rec, r)
	return rec
}

// push sends series as remote write 1.0 and wants a status.
func (w *world) push(want int, secret string, series []sample.Series, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.pushBytes(want, secret, snappy.Encode(nil, encodeV1(series)), headers...)
}

func (w *world) pushBytes(want int, secret string, body []byte, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	headers = append([]string{"Content-Type", "application/x-protobuf", "Content-Encoding", "snappy"}, headers...)
	rec := w.request("POST", order.PathWrite, secret, bytes.NewReader(body), headers...)
	if rec.Code != want {
		w.t.Fatalf("write: %d %s, want %d", rec.Code, rec.Body, want)
	}
	return rec
}

// encodeV1 writes a prometheus.WriteRequest by hand, apart from the hub's
// own reading of it.
func encodeV1(series []sample.Series) (out []byte) {
	field := func(b []byte, num protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
	}
	for _, s := range series {
		var ts []byte
		for _, l := range s.Labels {
			ts = field(ts, 1, field(field(nil, 1, []byte(l.Name)), 2, []byte(l.Value)))
		}
		for _, p := range s.Points {
			b := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(p.V))
			b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(p.At))
			ts = field(ts, 2, b)
		}
		out = field(out, 1, ts)
	}
	return field(out, 3, field(nil, 2, []byte("metadata is passed over")))
}

// lately makes a point at a time before now.
func lately(ago time.Duration, v float64) sample.Point {
	return sample.Point{At: time.Now().Add(-ago).UnixMilli(), V: v}
}

func hubTokens(t *testing.T, dsn string) {
	w := newWorld(t, Open(t, dsn), hub.Options{})
	series := []sample.Series{rss("42", "mailer", "0", lately(0, 4096))}
	good := w.agent("42")
	if strings.Contains(good, "42") || len(good) < 43 {
		t.Errorf("the secret %q is not random", good)
	}
	w.push(http.StatusUnauthorized, "", series)
	w.push(http.StatusUnauthorized, good+"x", series)
	w.push(http.StatusUnauthorized, hub.Hash(good), series) // what the store holds opens nothing
	w.push(http.StatusNoContent, good, series)
	list, err := w.store.Tokens(t.Context())
	if err != nil || len(list) != 1 || list[0].Droplet != "42" || time.Since(list[0].Seen.At) > time.Minute {
		t.Fatalf("tokens: %+v, %v; want one, seen just now", list, err)
	}
	if err := w.store.RevokeToken(t.Context(), list[0].ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := w.store.RevokeToken(t.Context(), list[0].ID, time.Now()); !errors.Is(err, hub.ErrNoToken) {
		t.Errorf("revoked again: %v, want %v", err, hub.ErrNoToken)
	}
	if rec := w.push(http.StatusUnauthorized, good, series); !strings.Contains(rec.Body.String(), "revoked") {
		t.Errorf("refusal %q does not say why", rec.Body)
	}
	for _, bad := range []hub.Token{
		{Kind: hub.Agent, Name: "n"}, {Kind: hub.Agent, Droplet: "1"}, {Kind: hub.Sender, Name: "n"},
		{Kind: "god", Name: "n"}, {Kind: hub.Agent, Name: "n", Droplet: "1", Tag: "t"},
	} {
		if _, _, err := hub.Create(t.Context(), w.store, bad); err == nil {
			t.Errorf("a token %+v was made", bad)
		}
	}
}

// hubAgentDroplet: an agent speaks of its own droplet, whatever it says.
func hubAgentDroplet(t *testing.T, dsn string) {
	w := newWorld(t, Open(t, dsn), hub.Options{})
	p := lately(0, 4096)
	lie := rss("43", "mailer", "0", p)
	lie.Labels = append(lie.Labels, sample.Label{Name: "source", Value: "digitalocean"})
	rec := w.push(http.StatusNoContent, w.agent("42"), []sample.Series{lie})
	if got := rec.Header().Get("X-Prometheus-Remote-Write-Samples-Written"); got != "1" {
		t.Errorf("%q samples written, want 1", got)
	}
	wantSeries(t, "under its own droplet", selectAll(t, w.history), rss("42", "mailer", "0", p))
}

func hubSender(t *testing.T, dsn string) {
	w := newWorld(t, Open(t, dsn), hub.Options{})
	secret := w.token(hub.Token{Kind: hub.Sender, Tag: "celery"})
	p := lately(0, 4096)
	foreign := func(pairs ...string) sample.Series {
		s := sample.Series{Points: []sample.Point{p}}
		for i := 0; i < len(pairs); i += 2 {
			s.Labels = append(s.Labels, sample.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		return s
	}
	w.push(http.StatusNoContent, secret, []sample.Series{
		foreign("__name__", "process_resident_memory_bytes", "droplet", "42", "job", "mailer", "instance", "10.0.0.1:9100"),
		foreign("__name__", "namedprocess_namegroup_memory_bytes", "droplet", "43", "groupname", "celery-4711", "memtype", "proportionalResident"),
		foreign("__name__", "node_memory_MemAvailable_bytes", "droplet", "43", "instance", "x", "job", "node"),
		foreign("__name__", "node_vmstat_oom_kill", "droplet", "43", "instance", "x", "job", "node"),
		foreign("__name__", "go_goroutines", "droplet", "42"),
		foreign("__name__", "namedprocess_namegroup_memory_bytes", "droplet", "43", "groupname", "celery", "memtype", "virtual"),
	})
	wantSeries(t, "translated", selectAll(t, w.history),
		foreign("__name__", "dropleak_droplet_memory_available_bytes", "droplet", "43", "source", "sender"),
		foreign("__name__", "dropleak_droplet_oom_kills_total", "droplet", "43", "source", "sender"),
		foreign("__name__", "dropleak_process_memory_bytes", "droplet", "42", "kind", "rss", "role", "unknown",
			"slot", "10.0.0.1:9100", "source", "sender", "worker", "mailer"),
		foreign("__name__", "dropleak_process_memory_bytes", "droplet", "43", "kind", "pss", "role", "unknown",
			"slot", "4711", "source", "sender", "worker", "celery"))
	w.push(http.StatusForbidden, secret, []sample.Series{rss("42", "more", "0", p), rss("99", "mailer", "0", p)})
	w.push(http.StatusBadRequest, secret, []sample.Series{foreign("__name__", "process_resident_memory_bytes", "job", "mailer")})
	w.push(http.StatusForbidden, w.token(hub.Token{Kind: hub.Sender, Tag: "other"}), []sample.Series{rss("42", "mailer", "0", p)})
	if got := selectAll(t, w.history); len(got) != 4 {
		t.Errorf("something of a refused write was stored: %v", got)
	}
}

// hubRefuses sends what must not be taken; nothing of it is stored.
func hubRefuses(t *testing.T, dsn string) {
	w := newWorld(t, Open(t, dsn), hub.Options{MaxBody: 10_000, MaxDecoded: 100_000, PerSecond: 1000})
	secret := w.agent("42")
	good := []sample.Series{rss("42", "mailer", "0", lately(0, 1))}
	body := encodeV1(good)
	pushed := func(b []byte) []byte { return snappy.Encode(nil, b) }
	for _, c := range []struct {
		name    string
		want    int
		body    []byte
		headers []string
	}{
		{"not compressed", 400, body, nil},
		{"torn", 400, pushed(body)[:20], nil},
		{"half a message", 400, pushed(body[:len(body)-3]), nil},
		{"noise", 400, pushed([]byte(strings.Repeat("noise", 9))), nil},
		{"a version 1 said to be 2", 400, pushed([]byte{0x2a, 2, 0x08, 1}), []string{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"}},
		{"symbols that are not there", 400, pushed([]byte{0x2a, 4, 0x0a, 2, 7, 7}), []string{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"}},
		{"large", 413, bytes.Repeat([]byte{1}, 10_001), nil},
		{"large once decompressed", 413, pushed(make([]byte, 100_001)), nil},
		{"JSON", 415, []byte("{}"), []string{"Content-Type", "application/json"}},
		{"gzip", 415, body, []string{"Content-Encoding", "gzip"}},
		{"another message", 415, body, []string{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v9.Request"}},
		{"no name", 400, pushed(encodeV1([]sample.Series{good[0], {Points: good[0].Points}})), nil},
		{"not UTF-8", 400, pushed(encodeV1([]sample.Series{good[0], rss("42", "\xff", "0", good[0].Points...)})), nil},
		{"11 minutes ahead", 400, pushed(encodeV1([]sample.Series{good[0], rss("42", "m", "0", lately(-11*time.Minute, 1))})), nil},
	} {
		rec := w.pushBytes(c.want, secret, c.body, c.headers...)
		if rec.Body.Len() == 0 || rec.Body.Len() > 300 {
			t.Errorf("%s: the refusal is %q", c.name, rec.Body)
		}
	}
	if got := selectAll(t, w.history); len(got) != 0 {
		t.Errorf("something was stored: %v", got)
	}
	w.push(http.StatusNoContent, secret, []sample.Series{rss("42", "m", "0", lately(-9*time.Minute, 1))})
	if rec := w.request("GET", order.PathWrite, secret, nil); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET of the write path: %d", rec.Code)
	}
}

func hubTooMuch(t *testing.T, dsn string) {
	s := Open(t, dsn)
	w := newWorld(t, s, hub.Options{PerSecond: 1})
	w.history = history.New(s, history.Options{MaxSeries: 2})
	w.hub = hub.New(s, w.history, hub.Options{PerSecond: 1})
	secret := w.agent("42")
	var series []sample.Series
	for i := range 3 {
		series = append(series, rss("42", "mailer", fmt.Sprint(i), lately(time.Minute, 1), lately(0, 1)))
	}
	rec := w.push(http.StatusBadRequest, secret, series)
	if !strings.Contains(rec.Body.String(), "2 series") {
		t.Errorf("the refusal %q does not name the limit", rec.Body)
	}
	if got := rec.Header().Get("X-Prometheus-Remote-Write-Samples-Written"); got != "4" {
		t.Errorf("%q samples written, want the 4 of two series", got)
	}
	wantSeries(t, "within the limit", selectAll(t, w.history), series[:2]...)
	for range 20 {
		rec := w.request("POST", order.PathWrite, secret, nil)
		if rec.Code == http.StatusTooManyRequests {
			if rec.Header().Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			return
		}
	}
	t.Error("20 writes at once where one a second may be: never 429")
}

// hubClone: a machine made from a snapshot of another falls silent.
func hubClone(t *testing.T, dsn string) {
	w := newWorld(t, Open(t, dsn), hub.Options{})
	secret := w.agent("42")
	series := func() []sample.Series { return []sample.Series{rss("42", "mailer", "0", lately(0, 4096))} }
	boot := func(ago time.Duration) sample.Series {
		return sample.Series{Labels: []sample.Label{{Name: "__name__", Value: "dropleak_droplet_boot_time_seconds"}, {Name: "droplet", Value: "42"}},
			Points: []sample.Point{lately(0, float64(time.Now().Add(-ago).Unix()))}}
	}
	is := func(droplet, machine, boot string) []string {
		return []string{order.HeaderDroplet, droplet, order.HeaderMachine, machine, order.HeaderBoot, boot}
	}
	first := is("42", "m1", "b1")
	w.push(http.StatusForbidden, secret, series(), is("43", "m1", "b1")...)
	w.push(http.StatusNoContent, secret, append(series(), boot(time.Hour)), first...)
	stored := len(selectAll(t, w.history)[0].Points)
	for _, clone := range [][]string{is("43", "m1", "b2"), is("42", "m2", "b1"), is("", "", "")} {
		w.push(http.StatusForbidden, secret, series(), clone...)
		if rec := w.request("GET", order.PathOrders+"?wait=0s", secret, nil, clone...); rec.Code != http.StatusForbidden {
			t.Errorf("orders for %v: %d, want 403", clone, rec.Code)
		}
	}
	// It booted while the first still sent.
	w.push(http.StatusForbidden, secret, append(series(), boot(40*time.Second)), is("42", "m1", "b2")...)
	// The first was really booted anew; then orders too are for that boot.
	again := is("42", "m1", "b3")
	if rec := w.request("GET", order.PathOrders+"?wait=0s", secret, nil, again...); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("orders for a boot that sent nothing: %d, want 503", rec.Code)
	}
	w.push(http.StatusNoContent, secret, append(series(), boot(0)), again...)
	if rec := w.request("GET", order.PathOrders+"?wait=0s", secret, nil, again...); rec.Code != http.StatusNoContent {
		t.Errorf("orders for the new boot: %d, want 204", rec.Code)
	}
	// An earlier boot that comes back is a second machine.
	w.push(http.StatusForbidden, secret, series(), first...)
	if len(w.clones) != 9 || w.clones[1].Token.Droplet != "42" || w.clones[1].Droplet != "43" {
		t.Errorf("%d clones reported, want 9: %+v", len(w.clones), w.clones)
	}
	if got := len(selectAll(t, w.history, history.Is("worker", "mailer"))[0].Points); got > stored+1 {
		t.Errorf("%d samples, some from clones", got)
	}
}
