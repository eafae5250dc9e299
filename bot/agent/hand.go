package agent

import (
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// handFresh is how old a main process's word of what it has on hand may be.
// It gives it every few seconds, later where counting takes long, and not at
// all while its only thread runs a task.
const handFresh = time.Minute

// hand is what a process said it has on hand.
type hand struct {
	at    time.Time // when it came in, by the monotonic clock
	count sample.OnHand
}

// parseHand reads what a worker's main process has on hand:
//
//	2 RUNNING LATE RESERVED ETA
func parseHand(report []byte) (h sample.OnHand, ok bool) {
	f := strings.Split(string(report), " ")
	if len(f) != 5 || f[0] != "2" {
		return h, false
	}
	for i, to := range []*float64{&h.Running, &h.Late, &h.Reserved, &h.ETA} {
		n, err := strconv.ParseUint(f[i+1], 10, 32)
		if err != nil {
			return sample.OnHand{}, false
		}
		*to = float64(n)
	}
	return h, h.Late <= h.Running
}

// hold keeps a process's last word until the next pass asks for it.
func (c *taskCounts) hold(pid int, count sample.OnHand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.hands[pid]; !known && len(c.hands) >= taskEntries {
		c.dropped++
		return
	}
	if c.hands == nil {
		c.hands = map[int]hand{}
	}
	c.hands[pid] = hand{time.Now(), count}
}

// onHand is what the workers of a pass have on hand now, by their main
// processes' own word. Nobody else is believed, and what is old is forgotten.
func (c *taskCounts) onHand(p sample.Pass, now time.Time) (out []sample.OnHand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := map[int]hand{}
	for _, r := range p.Processes {
		h, told := c.hands[r.PID]
		if !told || r.Slot != sample.SlotMain || now.Sub(h.at) > handFresh || h.at.Before(r.Start.Add(-sample.SameStart)) {
			continue
		}
		kept[r.PID] = h
		h.count.At, h.count.Droplet, h.count.Worker = r.At, r.Droplet, r.Worker
		out = append(out, h.count)
	}
	c.hands = kept
	return out
}
