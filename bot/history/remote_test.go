package history_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/google/go-cmp/cmp"
)

func remote(t *testing.T, url string) *history.History {
	t.Helper()
	r, err := history.NewRemote(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), "sqlite:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return history.New(s, history.Options{Remote: r, MaxSeries: 100})
}

// TestRemote keeps samples in a real Prometheus, late ones too, and reads a
// worker back from it.
func TestRemote(t *testing.T) {
	h := remote(t, testbed.Prometheus(t).URL)
	from := time.Now().Add(-20 * time.Minute).Truncate(time.Minute)
	pass := func(m int) []sample.Series {
		at := from.Add(time.Duration(m) * time.Minute)
		return sample.Encode(sample.Pass{
			Processes: []sample.Process{{At: at, Droplet: "42", Worker: "mailer", Slot: "main", Role: "parent", PID: 7, Start: from,
				RSS: float64(m) * 4096, PSS: sample.NaN, USS: sample.NaN, Swap: 0, CPU: sample.NaN}},
			Droplet: &sample.Droplet{At: at, Droplet: "42", Available: 1 << 30, Total: 2 << 30, Shmem: 0, Slab: 0, SwapUsed: 0, OOMKills: 0, Boot: from},
		})
	}
	for _, m := range []int{0, 1, 5, 2, 3, 4} {
		if err := h.WriteAs(t.Context(), history.Owner{ID: "token"}, pass(m)); err != nil {
			t.Fatal(err)
		}
	}
	q := history.Query{From: from, To: from.Add(4 * time.Minute)}
	ws, err := h.Workers(t.Context(), q)
	if err != nil || len(ws) != 1 || len(ws[0].Lives) != 1 {
		t.Fatalf("workers %+v, %v", ws, err)
	}
	var got []float64
	for _, s := range ws[0].Lives[0].Samples {
		got = append(got, s.RSS)
	}
	if d := cmp.Diff([]float64{0, 4096, 8192, 12288, 16384}, got); d != "" {
		t.Errorf("memory (-want +got):\n%s", d)
	}
	if ds, err := h.Droplets(t.Context(), q); err != nil || len(ds) != 1 || len(ds[0].Available) != 5 {
		t.Errorf("droplets %+v, %v", ds, err)
	}
	if seen, err := h.Seen(t.Context()); err != nil || len(seen) != 2 || !seen[1].Last.Equal(from.Add(5*time.Minute)) {
		t.Errorf("seen %+v, %v", seen, err)
	}
	ss, err := h.Select(t.Context(), []history.Matcher{history.Is("droplet", "42"), {Name: "kind", Pattern: regexp.MustCompile("s.$")},
		{Name: "worker", Value: "other", Not: true}}, q.From, q.To)
	if err != nil || len(ss) != 1 || ss[0].Get("kind") != "rss" {
		t.Errorf("selected %+v, %v", ss, err)
	}
	// Too old for this Prometheus: not to be sent again and again.
	old := []sample.Series{{Labels: []sample.Label{{Name: "__name__", Value: "dropleak_x"}}, Points: []sample.Point{{At: 1000, V: 1}}}}
	if err := h.Write(t.Context(), old); !errors.Is(err, history.ErrBadSeries) {
		t.Errorf("too old: %v, want %v", err, history.ErrBadSeries)
	}
}

func TestRemoteTrouble(t *testing.T) {
	for status, bad := range map[int]bool{400: true, 429: false, 500: false} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("x", 500), status)
		}))
		h := remote(t, srv.URL)
		err := h.Write(t.Context(), []sample.Series{{Labels: []sample.Label{{Name: "__name__", Value: "dropleak_x"}}, Points: []sample.Point{{At: 1000}}}})
		if err == nil || errors.Is(err, history.ErrBadSeries) != bad || len(err.Error()) > 400 {
			t.Errorf("%d: %v", status, err)
		}
		if _, err := h.Select(t.Context(), nil, time.Now().Add(-time.Hour), time.Now()); err == nil {
			t.Errorf("%d: a query did not fail", status)
		}
		if seen, err := h.Seen(t.Context()); err != nil || len(seen) != 0 {
			t.Errorf("%d: %v was seen, %v", status, seen, err)
		}
		srv.Close()
	}
	for _, bad := range []string{"", "prometheus:9090", "ftp://u:secret@h"} {
		if _, err := history.NewRemote(bad, nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
