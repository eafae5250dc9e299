package sample

import (
	"testing"
	"time"
)

// pool is a pass of one worker with these pids, the first being its parent.
func pool(pids ...int) *Pass {
	p := &Pass{}
	for i, pid := range pids {
		role := "child"
		if i == 0 {
			role = "parent"
		}
		p.Processes = append(p.Processes, Process{At: at, Worker: "w", Role: role, PID: pid, Start: at.Add(time.Duration(pid) * time.Second)})
	}
	return p
}

func TestSlots(t *testing.T) {
	var s Slots
	steps := []struct {
		name string
		pids []int
		want map[int]string
	}{
		{"first seen, oldest first", []int{1, 12, 11, 13}, map[int]string{1: "main", 11: "0", 12: "1", 13: "2"}},
		{"one recycled takes the slot over", []int{1, 11, 13, 14}, map[int]string{1: "main", 11: "0", 14: "1", 13: "2"}},
		{"pool shrinks, nobody moves", []int{1, 13}, map[int]string{1: "main", 13: "2"}},
		{"lowest free first", []int{1, 13, 15, 16, 17}, map[int]string{15: "0", 16: "1", 13: "2", 17: "3"}},
		{"restart", []int{2, 21, 22}, map[int]string{2: "main", 21: "0", 22: "1"}},
	}
	for _, step := range steps {
		p := pool(step.pids...)
		s.Assign(p)
		for _, r := range p.Processes {
			if want, ok := step.want[r.PID]; ok && r.Slot != want {
				t.Errorf("%s: pid %d in slot %q, want %q", step.name, r.PID, r.Slot, want)
			}
		}
	}
}

func TestSlotsSamePIDAnotherLife(t *testing.T) {
	var s Slots
	s.Assign(pool(1, 11, 12))
	p := pool(1, 11, 12)
	p.Processes[1].Start = p.Processes[1].Start.Add(time.Hour) // pid 11 reused
	p.Processes[2].Start = p.Processes[2].Start.Add(time.Second)
	s.Assign(p)
	if p.Processes[2].Slot != "1" {
		t.Errorf("a start read a second off lost its slot: %q", p.Processes[2].Slot)
	}
	if p.Processes[1].Slot != "0" {
		t.Errorf("the reused pid sits in %q, want the freed slot 0", p.Processes[1].Slot)
	}
}

func TestSlotsKeepGivenOnes(t *testing.T) {
	var s Slots
	p := pool(1, 11, 12)
	p.Processes[1].Slot = "0"
	s.Assign(p)
	if p.Processes[2].Slot != "1" {
		t.Errorf("slot %q handed out, want 1: 0 was given", p.Processes[2].Slot)
	}
}
