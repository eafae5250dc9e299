package remedy

import (
	"context"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector"
)

// Numbers is a worker's memory at a moment.
type Numbers struct {
	At        time.Time `json:"at"`
	Bytes     float64   `json:"bytes"`          // of Metric; 0: not measured
	Metric    string    `json:"metric"`         // "pss+swap", …
	Rate      *float64  `json:"rate,omitempty"` // bytes per hour, where it can be told
	PID       int       `json:"pid"`
	Start     time.Time `json:"start"`
	Processes int       `json:"processes"` // of the pool
}

// Working says whether a worker gets anything done.
type Working string

// The answers.
const (
	WorkUnknown Working = "unknown" // neither CPU time nor tasks are measured
	Idle        Working = "idle"    // measured, and not advancing
	Advancing   Working = "advancing"
)

// Life is what was measured of a worker since it was restarted. Samples of
// the life before are not in it.
type Life struct {
	Passes   int               `json:"passes"` // complete passes of the droplet since the restart
	Absent   int               `json:"absent"` // the latest of them, in a row, without a main process
	Seen     bool              `json:"seen"`   // a main process that is not the old one was seen
	Lives    int               `json:"lives"`  // main processes since the restart; above 1 it keeps dying
	Pool     int               `json:"pool"`   // pool processes now
	Working  Working           `json:"working"`
	OOMKills int               `json:"oom_kills"`
	Recovery detector.Recovery `json:"recovery"`
	Freed    *Freed            `json:"freed,omitempty"` // nil: not known, or a run of before it was measured
	Now      Numbers           `json:"now"`
	Tells    time.Time         `json:"tells,omitzero"` // when it can first be told whether it grows; zero: not known
}

// Freed is what the levels of many readings before and after a restart differ
// by, in bytes of Metric, with its 90 % interval.
type Freed struct {
	Metric string  `json:"metric"`
	Bytes  float64 `json:"bytes"` // negative where memory grew
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// freedBy is what a restart freed, in bytes: Value is the difference of the two
// readings that are shown, zero where it is not known. Low and High are the
// interval of [Freed], wide enough to hold that difference too, which a level
// lags behind while memory grows; sure is false where there is none.
func freedBy(before Numbers, l *Life) (freed detector.Interval, sure bool) {
	if l == nil || l.Now.Bytes == 0 || before.Bytes == 0 || l.Now.Metric != before.Metric {
		return freed, false
	}
	freed.Value = before.Bytes - l.Now.Bytes
	if l.Freed == nil || l.Freed.Metric != before.Metric {
		return freed, false
	}
	freed.Low, freed.High = min(l.Freed.Low, freed.Value), max(l.Freed.High, freed.Value)
	return freed, true
}

// amount says in brackets how much was freed; nothing where that is not known.
func amount(before Numbers, l Life) string {
	const mib = 1 << 20
	freed, sure := freedBy(before, &l)
	switch {
	case freed.Value <= 0:
		return ""
	case !sure:
		return fmt.Sprintf(" (%.0f MiB)", freed.Value/mib)
	}
	return fmt.Sprintf(" (%.0f MiB, %.0f to %.0f)", freed.Value/mib, freed.Low/mib, freed.High/mib)
}

// Watcher measures workers.
type Watcher interface {
	// Measure returns a worker's numbers now. What is not known is zero.
	Measure(ctx context.Context, droplet, worker string) (Numbers, error)
	// NewLife returns what was measured since a restart. old is the life
	// that was to end, before its numbers.
	NewLife(ctx context.Context, droplet, worker string, old order.Fingerprint, before Numbers, restarted time.Time) (Life, error)
}

// settled says how many passes make an absence or a death believable.
const settled = 3

// judge answers both questions, was memory freed and does the worker
// live, or says that it is too early. last: no more time is given.
func judge(l Life, before Numbers, last bool) (Outcome, string, bool) {
	switch {
	case l.Absent >= settled:
		return NotRunning, fmt.Sprintf("the worker has no main process in the last %d readings", l.Absent), true
	case l.Lives >= settled || l.Lives > 1 && last:
		return CameBackBad, fmt.Sprintf("its main process has died and come back %d times since", l.Lives-1), true
	case l.OOMKills > 0:
		return CameBackBad, fmt.Sprintf("the kernel killed %d of its processes for want of memory since", l.OOMKills), true
	case l.Seen && l.Recovery == detector.DidNotRecover:
		return NotFreed, "the new process holds as much memory as the old one did", true
	case l.Seen && l.Recovery == detector.DidRecover && l.Absent == 0 && poolBack(l, before):
		switch {
		case l.Now.Bytes == 0 && !last:
			return "", "", false // PSS is read less often: the numbers that are told are on their way
		case l.Working == Advancing:
			return FreedWorking, "memory was freed" + amount(before, l) + " and the worker is working", true
		case last:
			return FreedNotSeenWorking, "memory was freed" + amount(before, l) + "; the worker runs but was not seen working", true
		}
	}
	if !last {
		return "", "", false
	}
	return judgeLast(l, before)
}

// judgeLast is for what has not become clear in all the time it was given.
func judgeLast(l Life, before Numbers) (Outcome, string, bool) {
	switch {
	case l.Passes == 0:
		return Unclear, "no measurement of the droplet has arrived since the restart", true
	case !l.Seen || l.Absent > 0:
		return NotRunning, "no main process of the worker was seen after the restart", true
	case !poolBack(l, before):
		return CameBackBad, fmt.Sprintf("its pool has %d processes, had %d", l.Pool, before.Processes), true
	}
	return Unclear, "too little was measured since the restart to tell whether memory was freed", true
}

func poolBack(l Life, before Numbers) bool { return l.Pool >= before.Processes }
