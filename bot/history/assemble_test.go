package history

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

var dawn = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

func reading(minute, pid int, start time.Time, role, slot string, rss float64) sample.Process {
	return sample.Process{At: dawn.Add(time.Duration(minute) * time.Minute), Droplet: "42", Worker: "mail", Slot: slot, Role: role,
		PID: pid, Start: start, RSS: rss, PSS: sample.NaN, USS: sample.NaN, Swap: sample.NaN, CPU: sample.NaN}
}

func TestLivesAreToldByPIDAndStart(t *testing.T) {
	rows := []sample.Process{
		reading(2, 10, dawn.Add(time.Second), "parent", "main", 102), // unordered, and a start that drifts
		reading(0, 10, dawn, "parent", "main", 100),
		reading(0, 11, dawn, "child", "0", 50),
		reading(1, 12, dawn.Add(time.Minute), "child", "0", 20),       // took the slot over
		reading(0, 10, dawn, "parent", "main", 101),                   // the last word on a moment
		reading(9, 10, dawn.Add(8*time.Minute), "parent", "main", 30), // the pid came round again
	}
	ws := FromSamples(rows)
	if len(ws) != 1 || len(ws[0].Lives) != 4 {
		t.Fatalf("%d workers, %+v", len(ws), ws)
	}
	w := ws[0]
	first := w.Lives[0]
	if first.PID != 10 || len(first.Samples) != 2 || first.Samples[0].RSS != 101 || first.Samples[1].RSS != 102 {
		t.Errorf("first life: %+v", first)
	}
	if len(w.Events) != 1 || w.Events[0].Kind != detector.EventRestart || !w.Events[0].At.Equal(dawn.Add(8*time.Minute)) {
		t.Errorf("events: %+v", w.Events)
	}
}

func TestRowsWithoutPIDAreOneLife(t *testing.T) {
	var rows []sample.Process
	for m := range 5 {
		rows = append(rows, reading(m, 0, time.Time{}, "unknown", "", float64(m)))
	}
	ws := FromSamples(rows)
	if len(ws) != 1 || len(ws[0].Lives) != 1 || len(ws[0].Lives[0].Samples) != 5 || ws[0].Lives[0].Role != detector.RoleUnknown {
		t.Errorf("%+v", ws)
	}
}

func TestOOMKillsAreEvents(t *testing.T) {
	var passes []sample.Pass
	for m, n := range []float64{3, 3, 5, sample.NaN, 1} { // counted before us; two more; not read; reset
		r := sample.Worker{At: dawn.Add(time.Duration(m) * time.Minute), Droplet: "42", Worker: "mail", Limit: 1 << 30, High: sample.NaN, Current: sample.NaN, Pressure: 0.5, OOMKills: n, Pool: "prefork"}
		passes = append(passes, sample.Pass{Workers: []sample.Worker{r}, Processes: []sample.Process{reading(m, 10, dawn, "parent", "main", 1)}})
	}
	w := fromPasses(passes)[0]
	if len(w.Events) != 3 || w.Pool != detector.PoolPrefork || w.Limit.Bytes != 1<<30 || len(w.Pressure) != 5 {
		t.Errorf("%+v", w)
	}
}

func TestDropletOf(t *testing.T) {
	host := func(m int, available float64, boot time.Time) sample.Pass {
		at := dawn.Add(time.Duration(m) * time.Minute)
		return sample.Pass{Droplet: &sample.Droplet{At: at, Droplet: "42", Available: available, Total: 1000, OOMKills: sample.NaN, Boot: boot},
			Others: []sample.Other{{At: at, Name: "redis", Memory: 10}}}
	}
	d := dropletOf("42", []sample.Pass{host(0, 500, dawn), host(1, sample.NaN, dawn), host(2, 400, dawn.Add(time.Hour))})
	if len(d.Available) != 2 || d.Total != 1000 || len(d.Others) != 1 || len(d.Others[0].Memory) != 3 || len(d.Events) != 1 || d.Events[0].Kind != detector.EventReboot {
		t.Errorf("%+v", d)
	}
}
