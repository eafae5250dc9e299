package storetest

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// pass is one reading of droplet 42: a parent and a child that leaks.
func pass(at time.Time, i int) sample.Pass {
	proc := func(slot, role string, pid int, mib float64) sample.Process {
		return sample.Process{At: at, Droplet: "42", Worker: "mailer", Slot: slot, Role: role, PID: pid, Start: noon,
			RSS: mib * (1 << 20), PSS: sample.NaN, USS: sample.NaN, Swap: 0, CPU: float64(i)}
	}
	return sample.Pass{
		Processes: []sample.Process{proc("main", "parent", 100, 50), proc("0", "child", 101, 60+float64(i))},
		Workers: []sample.Worker{{At: at, Droplet: "42", Worker: "mailer", Pool: "prefork", App: "shop", Unit: "mailer.service",
			Manager: "systemd", Limit: 1 << 30, High: sample.NaN, Current: 1, Pressure: 0, OOMKills: 0}},
		Droplet: &sample.Droplet{At: at, Droplet: "42", Available: 2 << 30, Total: 4 << 30, Shmem: 0, Slab: 0, SwapUsed: 0,
			OOMKills: 0, Boot: noon.Add(-time.Hour)},
		Others: []sample.Other{{At: at, Droplet: "42", Name: "redis", Memory: 1 << 20}},
	}
}

// historyWorkers sends passes as an agent does, folds half of them, and
// reads the worker and its droplet back.
func historyWorkers(t *testing.T, dsn string) {
	h := soon(Open(t, dsn))
	const n = 200
	for i := range n {
		write(t, h, sample.Encode(pass(noon.Add(time.Duration(i)*time.Minute), i))...)
		if i == n/2 {
			fold(t, h)
		}
	}
	// What a sender and DigitalOcean say of the same stands apart.
	sender := rss("42", "mailer", "0", grid(noon, time.Minute, 3, 9)...)
	sender.Labels = append(sender.Labels, sample.Label{Name: history.LabelSource, Value: "sender"})
	do := sample.Series{Labels: []sample.Label{{Name: "__name__", Value: "dropleak_droplet_memory_available_bytes"},
		{Name: "droplet", Value: "42"}, {Name: history.LabelSource, Value: "digitalocean"}}, Points: grid(noon, time.Minute, 5, 1)}
	write(t, h, sender, do)

	q := history.Query{From: noon, To: noon.Add(24 * time.Hour)}
	workers, err := h.Workers(t.Context(), q)
	if err != nil || len(workers) != 1 {
		t.Fatalf("%d workers, %v; want 1", len(workers), err)
	}
	w := workers[0]
	if w.Name != "mailer" || w.Droplet != "42" || w.Pool != detector.PoolPrefork || w.Limit.Bytes != 1<<30 || len(w.Lives) != 2 {
		t.Fatalf("worker %s on %s: pool %q, limit %v, %d lives", w.Name, w.Droplet, w.Pool, w.Limit, len(w.Lives))
	}
	for _, l := range w.Lives {
		if len(l.Samples) != n || !l.Start.Equal(noon) {
			t.Errorf("life of %d: %d samples since %s, want %d", l.PID, len(l.Samples), l.Start, n)
		}
	}
	child := w.Lives[1]
	if child.PID != 101 || child.Role != detector.RoleChild || child.Samples[n-1].RSS != (60+n-1)*(1<<20) || child.Samples[n-1].CPU != n-1 {
		t.Errorf("the child %d ended with %+v", child.PID, child.Samples[n-1])
	}
	droplets, err := h.Droplets(t.Context(), q)
	if err != nil || len(droplets) != 1 {
		t.Fatalf("%d droplets, %v; want 1", len(droplets), err)
	}
	d := droplets[0]
	if len(d.Available) != n || d.Total != 4<<30 || len(d.Others) != 1 || len(d.Others[0].Memory) != n {
		t.Errorf("droplet: %d points of %v, others %d", len(d.Available), d.Total, len(d.Others))
	}
	// Longer than twice the agent's, DigitalOcean's word is taken instead.
	do.Points = grid(noon, 10*time.Minute, 50, 1)
	write(t, h, do)
	if droplets, err = h.Droplets(t.Context(), q); err != nil || len(droplets[0].Available) < 50 || droplets[0].Available[1].V != 2*4096 {
		t.Errorf("the longer source: %d points, %v", len(droplets[0].Available), err)
	}
	if none, err := h.Workers(t.Context(), history.Query{Worker: "none", From: q.From, To: q.To}); err != nil || len(none) != 0 {
		t.Errorf("an unknown worker: %v, %v", none, err)
	}
	last, ok, err := h.Latest(t.Context(), "42", noon)
	if err != nil || !ok || len(last.Processes) != 2 || last.Workers[0].Unit != "mailer.service" || !last.Droplet.At.Equal(noon.Add((n-1)*time.Minute)) {
		t.Errorf("latest pass %+v, %v, %v", last, ok, err)
	}
}
