package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/google/go-cmp/cmp"
)

// rss makes a series of a process's memory.
func rss(droplet, worker, slot string, pts ...sample.Point) sample.Series {
	return sample.Series{Points: pts, Labels: []sample.Label{
		{Name: "__name__", Value: "dropleak_process_memory_bytes"}, {Name: "droplet", Value: droplet},
		{Name: "kind", Value: "rss"}, {Name: "role", Value: "child"}, {Name: "slot", Value: slot}, {Name: "worker", Value: worker},
	}}
}

// grid makes n points, step apart, in pages that count up from first.
func grid(from time.Time, step time.Duration, n, first int) []sample.Point {
	pts := make([]sample.Point, n)
	for i := range pts {
		pts[i] = sample.Point{At: from.Add(time.Duration(i) * step).UnixMilli(), V: 4096 * float64(first+i)}
	}
	return pts
}

func write(t *testing.T, h *history.History, series ...sample.Series) {
	t.Helper()
	if err := h.Write(t.Context(), series); err != nil {
		t.Fatal(err)
	}
}

// selectAll reads what matches over all time.
func selectAll(t *testing.T, h *history.History, m ...history.Matcher) []sample.Series {
	t.Helper()
	got, err := h.Select(t.Context(), m, time.UnixMilli(0), noon.AddDate(10, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wantSeries(t *testing.T, name string, got []sample.Series, want ...sample.Series) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool {
		return a == b || sample.IsStale(a) && sample.IsStale(b)
	})); d != "" {
		t.Fatalf("%s (-want +got):\n%s", name, d)
	}
}

// soon is a history that folds whatever has arrived.
func soon(s *store.Store) *history.History {
	return history.New(s, history.Options{Hold: time.Nanosecond})
}

func fold(t *testing.T, h *history.History) {
	t.Helper()
	time.Sleep(2 * time.Millisecond) // "arrived before now", to the millisecond
	if err := h.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// historyReads writes in and out of order, late and twice, and reads the
// same before folding, after it, and after folding again.
func historyReads(t *testing.T, dsn string) {
	h := soon(Open(t, dsn))
	at := noon.Add(-30 * time.Hour)
	pts := grid(at, time.Minute, 300, 1000) // three chunks
	write(t, h, rss("42", "mailer", "0", pts[100:]...), rss("42", "other", "0", pts[0]))
	write(t, h, rss("7", "mailer", "0", pts[3]))
	backwards := slices.Clone(pts[:100])
	slices.Reverse(backwards)
	write(t, h, rss("42", "mailer", "0", backwards...))

	want := rss("42", "mailer", "0", slices.Clone(pts)...)
	one := []history.Matcher{history.Is("droplet", "42"), history.Is("worker", "mailer")}
	wantSeries(t, "before folding", selectAll(t, h, one...), want)
	fold(t, h)
	wantSeries(t, "folded", selectAll(t, h, one...), want)

	late := sample.Point{At: pts[5].At + 1, V: 7}
	repeated := sample.Point{At: pts[200].At, V: 8}
	ended := sample.Point{At: pts[299].At + 60_000, V: sample.StaleMarker()}
	want.Points = append(slices.Insert(want.Points, 6, late), ended)
	want.Points[201] = repeated
	write(t, h, rss("42", "mailer", "0", ended, late))
	write(t, h, rss("42", "mailer", "0", repeated))
	wantSeries(t, "late, before folding", selectAll(t, h, one...), want)
	fold(t, h)
	wantSeries(t, "late, folded", selectAll(t, h, one...), want)
	fold(t, h)
	wantSeries(t, "folded again", selectAll(t, h, one...), want)

	wantSeries(t, "by worker on all droplets", selectAll(t, h, history.Is("worker", "mailer"), history.Is("droplet", "7")),
		rss("7", "mailer", "0", pts[3]))
	got, err := h.Select(t.Context(), one, at.Add(10*time.Minute), at.Add(12*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	wantSeries(t, "a span", got, rss("42", "mailer", "0", pts[10:13]...))
	if got := selectAll(t, h, history.Is("droplet", "none")); len(got) != 0 {
		t.Errorf("an unknown droplet has %v", got)
	}
}

// historyRefuses keeps nothing of a bad request.
func historyRefuses(t *testing.T, dsn string) {
	h := soon(Open(t, dsn))
	good := rss("42", "mailer", "0", grid(noon, time.Minute, 1, 1)...)
	long := rss("42", string(make([]byte, 5000)), "0")
	for name, bad := range map[string]sample.Series{
		"no name":       {Labels: []sample.Label{{Name: "a", Value: "b"}}, Points: good.Points},
		"twice a label": {Labels: append(slices.Clone(good.Labels), good.Labels[1]), Points: good.Points},
		"not UTF-8":     rss("42", "\xff", "0", good.Points...),
		"a nought":      rss("42", "a\x00b", "0", good.Points...),
		"long labels":   long,
		"before 1970":   rss("42", "mailer", "1", sample.Point{At: -1}),
	} {
		if err := h.Write(t.Context(), []sample.Series{good, bad}); !errors.Is(err, history.ErrBadSeries) {
			t.Errorf("%s: %v, want %v", name, err, history.ErrBadSeries)
		}
	}
	if got := selectAll(t, h); len(got) != 0 {
		t.Errorf("something was stored: %v", got)
	}
}

func historyLimit(t *testing.T, dsn string) {
	s := Open(t, dsn)
	h := history.New(s, history.Options{MaxSeries: 3})
	p := sample.Point{At: noon.UnixMilli(), V: 1}
	var all []sample.Series
	for i := range 5 {
		all = append(all, rss("42", "mailer", strconv.Itoa(i), p))
	}
	if err := h.WriteAs(t.Context(), history.Owner{ID: "token"}, all[:2]); err != nil {
		t.Fatal(err)
	}
	var limit *history.LimitError
	if err := h.WriteAs(t.Context(), history.Owner{ID: "token"}, all); !errors.As(err, &limit) || limit.Refused != 2 || limit.Limit != 3 {
		t.Fatalf("five series where three may be: %v, want two refused", err)
	}
	wantSeries(t, "the first three", selectAll(t, h), all[:3]...)
	// Neither another replica nor another owner's series change that.
	other := history.New(s, history.Options{MaxSeries: 3})
	if err := other.WriteAs(t.Context(), history.Owner{ID: "token"}, all[4:]); !errors.As(err, &limit) {
		t.Errorf("through another replica: %v, want a refusal", err)
	}
	if err := other.WriteAs(t.Context(), history.Owner{ID: "another"}, all[:4]); err != nil {
		t.Errorf("another owner's one: %v", err)
	}
}

// historyRace lets two replicas write and fold at once; nothing is lost, and
// each series has one id.
func historyRace(t *testing.T, dsn string) {
	a := Open(t, dsn)
	b, err := store.Open(t.Context(), dsn, store.Options{Beside: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	replicas := []*history.History{soon(a), soon(b)}
	const rounds, slots = 30, 5
	var writers, folders sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for i, h := range replicas {
		writers.Go(func() {
			for r := range rounds {
				var push []sample.Series
				for s := range slots {
					push = append(push, rss("42", "mailer", strconv.Itoa(s), grid(noon.Add(time.Duration(2*r+i)*time.Minute), 0, 1, r)...))
				}
				rand.Shuffle(slots, func(i, j int) { push[i], push[j] = push[j], push[i] })
				if err := h.Write(ctx, push); err != nil {
					t.Error(err)
				}
			}
		})
		folders.Go(func() {
			for ctx.Err() == nil {
				if err := h.Fold(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	stop()
	folders.Wait()
	check := func(when string) {
		got := selectAll(t, replicas[1])
		if len(got) != slots {
			t.Fatalf("%s: %d series, want %d", when, len(got), slots)
		}
		for _, s := range got {
			if len(s.Points) != 2*rounds {
				t.Errorf("%s: slot %s has %d samples, want %d", when, s.Get("slot"), len(s.Points), 2*rounds)
			}
		}
	}
	check("after the race")
	fold(t, replicas[0])
	check("folded")
}

// historyRetain lets raw samples age into coarse ones and these away.
func historyRetain(t *testing.T, dsn string) {
	s := Open(t, dsn)
	h := history.New(s, history.Options{Hold: time.Nanosecond, Raw: 48 * time.Hour, Coarse: 240 * time.Hour})
	today := time.Now().UTC().Truncate(24 * time.Hour)
	old, recent := today.Add(-72*time.Hour), today.Add(-24*time.Hour)
	dead := today.Add(-300 * time.Hour)
	write(t, h, rss("42", "mailer", "0", grid(dead, time.Minute, 10, 0)...))
	write(t, h, rss("42", "mailer", "0", grid(old, time.Minute, 10, 100)...))
	write(t, h, rss("42", "mailer", "0", grid(recent, time.Minute, 10, 200)...))
	fold(t, h)
	retain := func() {
		t.Helper()
		if err := h.Retain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	retain()
	want := rss("42", "mailer", "0", append([]sample.Point{
		{At: old.UnixMilli(), V: 102 * 4096}, {At: old.Add(5 * time.Minute).UnixMilli(), V: 107 * 4096},
	}, grid(recent, time.Minute, 10, 200)...)...)
	wantSeries(t, "once swept", selectAll(t, h), want)
	// Late samples of a coarse day join it, and what stands stays.
	write(t, h, rss("42", "mailer", "0", grid(old.Add(3*time.Minute), 10*time.Minute, 2, 1)...))
	fold(t, h)
	retain()
	retain()
	want.Points = slices.Insert(want.Points, 2, sample.Point{At: old.Add(10 * time.Minute).UnixMilli(), V: 2 * 4096})
	wantSeries(t, "late and swept again", selectAll(t, h), want)
	historyCoarseAskedFor(t, s, old, today)
}

// historyCoarseAskedFor selects from where only coarse samples are, up to the
// first moment since when there can be none.
func historyCoarseAskedFor(t *testing.T, s *store.Store, old, today time.Time) {
	t.Helper()
	h := history.New(s, history.Options{Hold: time.Nanosecond, Raw: 24 * time.Hour, Coarse: 240 * time.Hour})
	edge := today.Add(-24*time.Hour - 5*time.Minute)
	write(t, h, rss("42", "mailer", "0", grid(edge, time.Minute, 5, 300)...))
	fold(t, h)
	if err := h.Retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[time.Time]int{old: 14, old.Add(time.Minute): 13, edge: 11, edge.Add(5 * time.Minute): 10} {
		got, err := h.Select(t.Context(), nil, from, today.Add(24*time.Hour))
		if err != nil || len(got) != 1 || len(got[0].Points) != want {
			t.Errorf("from %s: %d series, want %d points: %v, %v", from, len(got), want, got, err)
		}
	}
}

func historySeen(t *testing.T, dsn string) {
	h := soon(Open(t, dsn))
	at := func(m int) sample.Point {
		return sample.Point{At: noon.Add(time.Duration(m) * time.Minute).UnixMilli(), V: 1}
	}
	gone := sample.Point{At: noon.Add(9 * time.Hour).UnixMilli(), V: sample.StaleMarker()}
	close := sample.Point{At: at(0).At + 5_000, V: 1} // an agent that was started anew
	for _, p := range []sample.Point{at(0), close, at(1), at(2), at(3), at(4)} {
		write(t, h, rss("43", "mailer", "0", p))
	}
	for _, p := range []sample.Point{at(0), at(1), at(2), at(60), at(30), gone} {
		write(t, h, rss("42", "mailer", "0", p), sample.Series{
			Labels: []sample.Label{{Name: "__name__", Value: "dropleak_droplet_memory_available_bytes"},
				{Name: "droplet", Value: "42"}, {Name: "source", Value: "digitalocean"}},
			Points: []sample.Point{at(0)},
		})
	}
	got, err := h.Seen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := noon.Add(time.Hour)
	want := []history.Presence{
		{DropletID: "42", Last: last, Interval: 2 * time.Minute},
		{DropletID: "42", Source: "digitalocean", Last: noon},
		{DropletID: "42", Worker: "mailer", Last: last, Interval: 2 * time.Minute},
		{DropletID: "43", Last: noon.Add(4 * time.Minute), Interval: time.Minute},
		{DropletID: "43", Worker: "mailer", Last: noon.Add(4 * time.Minute), Interval: time.Minute},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("seen (-want +got):\n%s", d)
	}
}

// historyModel compares with a map, over random writes, folds and sweeps of
// nothing.
func historyModel(t *testing.T, dsn string) {
	h := soon(Open(t, dsn))
	r := rand.New(rand.NewPCG(7, 7))
	model := map[string]map[int64]float64{}
	for range 60 {
		var push []sample.Series
		for _, slot := range r.Perm(4)[:1+r.IntN(3)] {
			name := fmt.Sprint(slot)
			if model[name] == nil {
				model[name] = map[int64]float64{}
			}
			s := rss("42", "mailer", name)
			for range 1 + r.IntN(5) {
				p := sample.Point{At: noon.Add(time.Duration(r.IntN(600)) * time.Minute).UnixMilli(), V: float64(r.IntN(1000))}
				model[name][p.At] = p.V
				s.Points = append(s.Points, p)
			}
			push = append(push, s)
		}
		write(t, h, push...)
		if r.IntN(4) == 0 {
			fold(t, h)
		}
		for _, s := range selectAll(t, h) {
			m := model[s.Get("slot")]
			if len(m) != len(s.Points) {
				t.Fatalf("slot %s: %d samples, want %d", s.Get("slot"), len(s.Points), len(m))
			}
			for _, p := range s.Points {
				if v, ok := m[p.At]; !ok || v != p.V {
					t.Fatalf("slot %s at %d: %v, want %v", s.Get("slot"), p.At, p.V, v)
				}
			}
		}
	}
}
