package storetest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// historyDigests sends a day and a half of passes in any order, late and
// twice, with folds between, and looks now and then: what was kept and what
// is read anew must together say what all samples say, to the last bit.
func historyDigests(t *testing.T, dsn string) {
	s := Open(t, dsn)
	h := soon(s)
	r := rand.New(rand.NewPCG(7, 7))
	from := time.Now().Add(-36 * time.Hour).Truncate(time.Minute).UTC()
	minutes := make([]int, 0, 36*30)
	for m := 0; m < 36*60; m += 2 {
		minutes = append(minutes, m)
	}
	for range 40 { // 40 stretches come late
		i, n := r.IntN(len(minutes)-60), r.IntN(30)
		j := min(len(minutes)-n, i+r.IntN(600))
		late := slices.Clone(minutes[i : i+n])
		minutes = slices.Insert(slices.Delete(minutes, i, i+n), min(j, len(minutes)-n), late...)
	}
	for len(minutes) > 0 {
		n := min(1+r.IntN(80), len(minutes))
		for k, m := range minutes[:n] {
			at := from.Add(time.Duration(m) * time.Minute)
			p := digestPass(at, m)
			write(t, h, sample.Encode(p)...)
			if k%9 == 0 {
				write(t, h, sample.Encode(p)...)
			}
		}
		minutes = minutes[n:]
		if r.IntN(4) == 0 {
			fold(t, h)
		}
		if r.IntN(2) == 0 || len(minutes) == 0 {
			sameDigest(t, h, from, time.Now())
		}
	}
	sameDigest(t, h, from, from.Add(20*time.Hour))
	kept, err := s.DigestsIn(t.Context(), "42", 0, time.Now().UnixMilli())
	if err != nil || len(kept) < 5 {
		t.Fatalf("%d digests kept, %v", len(kept), err)
	}
	// One that was looked for before late samples came is not kept after.
	stale := history.KeptDigest{Start: kept[2].Start, Version: kept[2].Version, Body: []byte("stale")}
	write(t, h, sample.Encode(digestPass(time.UnixMilli(stale.Start).Add(time.Minute), 1))...)
	if err := s.PutDigests(t.Context(), "42", []history.KeptDigest{stale}); err != nil {
		t.Fatal(err)
	}
	kept, err = s.DigestsIn(t.Context(), "42", stale.Start, stale.Start)
	if err != nil || len(kept) != 1 || len(kept[0].Body) != 0 || kept[0].Version <= stale.Version {
		t.Errorf("after late samples: %+v, %v", kept, err)
	}
	sameDigest(t, h, from, time.Now())
	if err := s.SweepDigests(t.Context(), time.Now().UnixMilli()); err != nil {
		t.Fatal(err)
	}
	if kept, err = s.DigestsIn(t.Context(), "42", 0, time.Now().UnixMilli()); err != nil || len(kept) != 0 {
		t.Errorf("%d digests after the sweep, %v", len(kept), err)
	}
}

// digestPass is pass with what digests must not forget: children that come
// and go, OOM kills, pressure, a droplet that is resized.
func digestPass(at time.Time, m int) sample.Pass {
	p := pass(at, m)
	child := p.Processes[1]
	child.Slot, child.PID, child.Start = "1", 500+m/250, at.Add(-time.Duration(m%250)*time.Minute)
	child.RSS, child.PSS, child.Swap = 80<<20+float64(m%250)*8192, 60<<20, float64(m%3)*4096
	p.Processes = append(p.Processes, child)
	p.Workers[0].OOMKills, p.Workers[0].Pressure = float64(m/700), float64(m%7)/100
	if m > 1500 {
		p.Droplet.Total = 8 << 30
	}
	p.Droplet.Available -= float64(m) * (1 << 20)
	return p
}

// sameDigest compares a digest with what all samples say.
func sameDigest(t *testing.T, h *history.History, from, to time.Time) {
	t.Helper()
	from = from.Truncate(detector.ChunkWidth)
	got, err := h.Digest(t.Context(), "42", from.Add(time.Hour), to)
	if err != nil {
		t.Fatal(err)
	}
	q := history.Query{DropletIDs: []string{"42"}, From: from, To: to}
	workers, err := h.Workers(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if len(workers) != len(got.Workers) {
		t.Fatalf("%d workers, want %d", len(got.Workers), len(workers))
	}
	for i, w := range workers {
		want := detector.Summarize(w, detector.Options{})
		have := got.Workers[i].Summary
		want.Gaps, have.Gaps = nil, nil
		hour := want.Newest().Add(-time.Hour)
		for _, s := range []*detector.Summary{&want, &have} {
			s.Pressure = slices.DeleteFunc(s.Pressure, func(p detector.Point) bool { return p.At.Before(hour) })
		}
		kills := func(e detector.Event) bool { return e.Kind != detector.EventOOMKill }
		want.Events = slices.DeleteFunc(want.Events, kills)
		if d := cmp.Diff(want, have, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("up to %s, worker %s (-want +got):\n%s", to, w.Name, d)
		}
	}
	hosts, err := h.Droplets(t.Context(), q)
	if err != nil || len(hosts) != 1 {
		t.Fatalf("%d droplets, %v", len(hosts), err)
	}
	if d := cmp.Diff(detector.SummarizeDroplet(hosts[0], to), got.Host, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("up to %s, droplet (-want +got):\n%s", to, d)
	}
	if last := hosts[0].Available[len(hosts[0].Available)-1].V; got.Available != last {
		t.Errorf("available %v, want %v", got.Available, last)
	}
}
