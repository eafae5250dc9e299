package sample

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// SlotMain is the slot of a worker's parent process.
const SlotMain = "main"

// At returns the one time of a pass; false when it holds nothing.
func (p Pass) At() (time.Time, bool) {
	switch {
	case len(p.Processes) > 0:
		return p.Processes[0].At, true
	case len(p.Workers) > 0:
		return p.Workers[0].At, true
	case p.Droplet != nil:
		return p.Droplet.At, true
	case len(p.Others) > 0:
		return p.Others[0].At, true
	}
	return time.Time{}, false
}

// Sort orders a pass for people and tests: workers by name, in each the
// parent first and then the slots in order, other names largest first.
func (p *Pass) Sort() {
	slices.SortFunc(p.Processes, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.Worker, b.Worker), cmp.Compare(rank(a), rank(b)),
			cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.Role, b.Role), cmp.Compare(a.PID, b.PID))
	})
	slices.SortFunc(p.Workers, func(a, b Worker) int { return cmp.Compare(a.Worker, b.Worker) })
	p.sortOthers()
}

func (p *Pass) sortOthers() {
	slices.SortFunc(p.Others, compareOthers)
}

func compareOthers(a, b Other) int {
	return cmp.Or(cmp.Compare(b.Memory, a.Memory), cmp.Compare(a.Name, b.Name))
}

func rank(p Process) int { return rankOf(p.Slot, p.Role) }

func rankOf(slot, role string) int {
	if slot == SlotMain || slot == "" && role == "parent" {
		return -1
	}
	if n, err := strconv.Atoi(slot); err == nil {
		return n
	}
	return 1 << 30
}
