package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dropleak/dropleak/detector/sample"
)

func TestWire(t *testing.T) {
	series := []sample.Series{
		{Labels: []sample.Label{{Name: "__name__", Value: "m"}, {Name: "worker", Value: "w"}}, Points: []sample.Point{{At: -5, V: 1.5}, {At: 7, V: math.Inf(1)}}},
		{Labels: []sample.Label{{Name: "__name__", Value: "n"}}, Points: []sample.Point{{At: 1, V: sample.StaleMarker()}}},
	}
	raw, err := encodeV2(series)
	must(t, err)
	req, err := decodeV2(raw)
	must(t, err)
	if d := cmp.Diff(series, fromV2(req), cmpopts.EquateNaNs()); d != "" {
		t.Errorf("2.0 (-want +got):\n%s", d)
	}
	v1 := fromV1(t, toV1(req))
	if d := cmp.Diff(series, v1, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("1.0 (-want +got):\n%s", d)
	}
	if !sample.IsStale(v1[1].Points[0].V) || !sample.IsStale(fromV2(req)[1].Points[0].V) {
		t.Error("the stale marker lost its bits")
	}
}

func FuzzDecodeV2(f *testing.F) {
	raw, err := encodeV2([]sample.Series{{Labels: []sample.Label{{Name: "a", Value: "b"}}, Points: []sample.Point{{At: 1, V: 2}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if req, err := decodeV2(raw); err == nil {
			toV1(req)
		}
	})
}

// shipping is a spool and a shipper toward a service, without an agent.
func shipping(t *testing.T, s *service) (*spool, *shipper, *bytes.Buffer) {
	log := &bytes.Buffer{}
	l := slog.New(slog.NewTextHandler(log, nil))
	sp := open(t, filepath.Join(t.TempDir(), "spool"), 1<<20)
	w := &wire{next: &http.Transport{DisableKeepAlives: true}, token: func() (string, error) { return "secret", nil }, identity: &identity{boot: "b"}, log: l}
	sh, err := newShipper(sp, s.URL, w, l)
	must(t, err)
	return sp, sh, log
}

func onePass(t *testing.T, n int64) []byte {
	raw, err := encodeV2([]sample.Series{{Labels: []sample.Label{{Name: "__name__", Value: "up"}}, Points: []sample.Point{{At: n, V: 1}}}})
	must(t, err)
	return raw
}

// ship runs the shipper until the service holds n series, and returns the
// order they came in.
func ship(t *testing.T, s *service, sh *shipper, n int) []int64 {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); sh.run(ctx) }()
	s.await(5*time.Minute, fmt.Sprint(n, " series"), func() bool {
		waiting, _ := sh.spool.waiting()
		return len(s.series) >= n && waiting == 0
	})
	cancel()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	var at []int64
	for _, x := range s.series {
		at = append(at, x.Points[0].At)
	}
	return at
}

func TestShipLosesNothingWhileAway(t *testing.T) {
	s := newService(t)
	failures := 3
	s.refuse = func(*http.Request) int {
		if failures > 0 {
			failures--
			return http.StatusServiceUnavailable
		}
		return 0
	}
	sp, sh, _ := shipping(t, s)
	for i := range 5 {
		must(t, sp.append(onePass(t, int64(i))))
	}
	if got := fmt.Sprint(ship(t, s, sh, 5)); got != "[0 1 2 3 4]" {
		t.Errorf("arrived %s", got)
	}
	if n, lost := sp.waiting(); n != 0 || lost != 0 {
		t.Errorf("%d wait, %d lost", n, lost)
	}
}

func TestShipFallsBackTo1(t *testing.T) {
	s := newService(t)
	s.only1 = true
	sp, sh, _ := shipping(t, s)
	for i := range 3 {
		must(t, sp.append(onePass(t, int64(i))))
	}
	if got := fmt.Sprint(ship(t, s, sh, 3)); got != "[0 1 2]" {
		t.Errorf("arrived %s", got)
	}
	if len(s.requests) != 4 {
		t.Errorf("%d requests, want 2.0 tried once and 1.0 three times", len(s.requests))
	}
}

// TestShipDropsOnlyTheHopeless: a bad pass must not block the good ones, a
// wrong token must not lose any.
func TestShipDropsOnlyTheHopeless(t *testing.T) {
	s := newService(t)
	first := true
	s.refuse = func(*http.Request) int {
		if first {
			first = false
			return http.StatusBadRequest
		}
		return 0
	}
	sp, sh, log := shipping(t, s)
	must(t, sp.append(onePass(t, 0)))
	must(t, sp.append(onePass(t, 1)))
	if got := fmt.Sprint(ship(t, s, sh, 1)); got != "[1]" || !strings.Contains(log.String(), "dropped") {
		t.Errorf("arrived %s, log %s", got, log)
	}
	s.mu.Lock()
	denied := 2
	s.refuse = func(*http.Request) int {
		if denied > 0 {
			denied--
			return http.StatusUnauthorized
		}
		return 0
	}
	s.mu.Unlock()
	must(t, sp.append(onePass(t, 2)))
	if got := fmt.Sprint(ship(t, s, sh, 2)); got != "[1 2]" {
		t.Errorf("arrived %s after a wrong token", got)
	}
}

func TestClockSkew(t *testing.T) {
	log := &bytes.Buffer{}
	w := &wire{log: slog.New(slog.NewTextHandler(log, nil))}
	now := time.Now()
	date := func(d time.Duration) string { return now.Add(d).UTC().Format(http.TimeFormat) }
	w.clock(date(10*time.Second), now, now.Add(time.Millisecond))
	if log.Len() != 0 {
		t.Errorf("warned about ten seconds: %s", log)
	}
	w.clock(date(2*time.Minute), now, now)
	w.clock(date(2*time.Minute), now, now)
	if strings.Count(log.String(), "level=WARN") != 1 {
		t.Errorf("two minutes off: %q, want one warning", log)
	}
	if d := time.Until(w.now()); d < 118*time.Second || d > 122*time.Second {
		t.Errorf("service's time is %s ahead, want two minutes", d)
	}
	w.clock(date(time.Hour), now, now.Add(30*time.Second)) // a long poll's header is old
	if w.skew > 3*time.Minute {
		t.Error("a long poll was believed")
	}
	w.clock(date(0), now, now)
	if !strings.Contains(log.String(), "agree again") {
		t.Errorf("log %q", log)
	}
}

func TestTokenNeverLeavesForAnotherHost(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the token went to another host: %v", r.Header) }))
	defer other.Close()
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	w := &wire{next: &http.Transport{DisableKeepAlives: true}, token: func() (string, error) { return "secret", nil }, identity: &identity{}, log: slog.New(slog.DiscardHandler)}
	o := &orders{server: s.URL, http: w.client(time.Second)}
	if _, err := o.poll(t.Context()); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("poll: %v", err)
	}
}

func TestTokenIsReadAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	read := tokenFrom(file)
	if _, err := read(); err == nil {
		t.Error("no file, no error")
	}
	for text, want := range map[string]string{"abc\n": "abc", " d \n": "d", "": "", "a b": ""} {
		must(t, os.WriteFile(file, []byte(text), 0o600))
		if got, err := read(); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
