package dosim

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func (r rig) points(metric string, from, to time.Time) [][2]any {
	r.t.Helper()
	doc := r.want(200, "GET", fmt.Sprintf("/v2/monitoring/metrics/droplet/%s?host_id=42&start=%d&end=%d", metric, from.Unix(), to.Unix()), "")
	data := doc["data"].(map[string]any)
	if doc["status"] != "success" || data["resultType"] != "matrix" {
		r.t.Fatalf("answer %v", doc)
	}
	var out [][2]any
	for _, stream := range data["result"].([]any) {
		if host := stream.(map[string]any)["metric"].(map[string]any)["host_id"]; host != "42" {
			r.t.Errorf("host_id %v", host)
		}
		for _, v := range stream.(map[string]any)["values"].([]any) {
			out = append(out, [2]any{v.([]any)[0], v.([]any)[1]})
		}
	}
	return out
}

func TestMemoryPoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		began := time.Now()
		r.AddDroplet(Droplet{ID: 42, Created: began.Add(-time.Hour), Memory: func(at time.Time) (int64, int64) {
			return 1000 - int64(at.Sub(began)/time.Minute), 2000
		}})
		time.Sleep(10*time.Minute + time.Second)
		got := r.points("memory_available", began, began.Add(time.Hour))
		if len(got) != 6 { // minutes 0, 2, … 10; none from the future
			t.Fatalf("%d points: %v", len(got), got)
		}
		for i, p := range got {
			at, val := float64(began.Unix()+int64(120*i)), fmt.Sprint(1000-2*i)
			if p[0] != at || p[1] != val {
				t.Errorf("point %d is %v, want [%v %q]", i, p, at, val)
			}
		}
		if tot := r.points("memory_total", began, began); len(tot) != 1 || tot[0][1] != "2000" {
			t.Errorf("total %v", tot)
		}
		if old := r.points("memory_total", began.Add(-24*time.Hour), began); len(old) != 31 {
			t.Errorf("%d points, some from before the droplet was created", len(old))
		}
	})
}

func TestNoMemoryPoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Retention: time.Hour})
		now := time.Now()
		if n := len(r.points("memory_total", now.Add(-5*time.Hour), now)); n != 31 {
			t.Errorf("%d points within a retention of an hour", n)
		}
		r.SetAgent(42, false)
		if n := len(r.points("memory_total", now.Add(-time.Hour), now)); n != 0 {
			t.Errorf("%d points without an agent", n)
		}
		r.SetAgent(42, true)
		if n := len(r.points("memory_total", now.Add(-time.Hour), now)); n == 0 {
			t.Error("no points although the agent is back")
		}
		doc := r.want(200, "GET", "/v2/monitoring/metrics/droplet/memory_total?host_id=1&start=1&end=2", "")
		if doc["status"] != "success" {
			t.Errorf("unknown host: %v", doc)
		}
	})
}

func TestNoPointsWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Durations: map[string]time.Duration{"reboot": 5 * time.Minute}})
		began := time.Now()
		time.Sleep(time.Minute)
		r.want(201, "POST", "/v2/droplets/42/actions", `{"type":"reboot"}`)
		time.Sleep(9*time.Minute + time.Second)
		got := r.points("memory_total", began, time.Now())
		if len(got) != 4 { // 0, then 6, 8, 10; not 2 and 4
			t.Errorf("points %v", got)
		}
	})
}

func TestTimeScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{TimeScale: 60, HourlyLimit: 20})
		began := time.Now()
		r.want(201, "POST", "/v2/droplets/42/actions", snap)
		time.Sleep(2 * time.Second) // two minutes
		if r.snapshots() != 1 {
			t.Error("a snapshot of two minutes takes longer than 2 s at 60 times")
		}
		time.Sleep(8 * time.Second)
		if got := r.points("memory_total", began, time.Now()); len(got) != 6 {
			t.Errorf("%d points in 10 s, want one every 2 s", len(got))
		}
		for range 17 {
			r.want(200, "GET", "/v2/droplets", "")
		}
		r.want(429, "GET", "/v2/droplets", "")
		time.Sleep(time.Minute) // an hour
		r.want(200, "GET", "/v2/droplets", "")
	})
}

func TestRecorder(t *testing.T) {
	var rec Recorder
	t0 := time.Unix(1000, 0)
	rec.Observe(t0, 10, 100)
	rec.Observe(t0.Add(time.Minute), 20, 100)
	for _, tt := range []struct {
		after time.Duration
		want  [2]int64
	}{
		{-time.Second, [2]int64{}}, {0, [2]int64{10, 100}}, {59 * time.Second, [2]int64{10, 100}}, {time.Hour, [2]int64{20, 100}},
	} {
		a, total := rec.Memory(t0.Add(tt.after))
		if got := [2]int64{a, total}; got != tt.want {
			t.Errorf("at %v: %v, want %v", tt.after, got, tt.want)
		}
	}
}

// Unless it is kind, a Sim shows a point half a minute after it was measured.
func TestPointsShowUpLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		s.AddToken(tok, ReaderScopes...)
		began := time.Now()
		s.AddDroplet(Droplet{ID: 42, Created: began})
		r := rig{s, t, s.Transport()}
		time.Sleep(2*time.Minute + 20*time.Second)
		for _, want := range []int{1, 2} {
			if got := r.points("memory_total", began, time.Now()); len(got) != want {
				t.Errorf("after %v: %d points, want %d", time.Since(began), len(got), want)
			}
			time.Sleep(15 * time.Second)
		}
	})
}
