package workflow

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"
)

// Job is a run in the hands of its owner, as a step function sees it.
type Job struct {
	engine  *Engine
	run     Run
	notes   []Entry
	renewed atomic.Pointer[time.Time] // when the lease was last known to hold
}

// Run returns the run as its owner knows it.
func (j *Job) Run() Run { return j.run }

// Load reads the run's data into v.
func (j *Job) Load(v any) error { return decode(j.run.Data, v, "data of run "+j.run.ID) }

// Gate reads into v what people have said so far.
func (j *Job) Gate(v any) error { return decode(j.run.Gate, v, "gate of run "+j.run.ID) }

// Keep replaces the run's data; it is stored with the step's answer.
func (j *Job) Keep(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing down the data of run %s: %w", j.run.ID, err)
	}
	j.run.Data = raw
	return nil
}

// Note adds a line to the journal; it is stored with the step's answer.
func (j *Job) Note(e Entry) {
	e.Run = j.run.ID
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if e.Who == "" {
		e.Who = Self
	}
	j.notes = append(j.notes, e)
}

// Take takes all slots or none; see [Leases.TakeSlots].
func (j *Job) Take(ctx context.Context, slots ...Slot) (full []Slot, err error) {
	full, err = j.engine.store.TakeSlots(ctx, j.run.ID, j.run.Token, slots)
	if err != nil {
		return nil, fmt.Errorf("taking slots for run %s: %w", j.run.ID, err)
	}
	return full, nil
}

// Return gives all slots back but one; see [Leases.ReturnSlots].
func (j *Job) Return(ctx context.Context, but string) error {
	if err := j.engine.store.ReturnSlots(ctx, j.run.ID, j.run.Token, but); err != nil {
		return fmt.Errorf("giving back slots of run %s: %w", j.run.ID, err)
	}
	return nil
}

// Self is who acts when no person does.
const Self = "dropleak"

// entry is a journal line of the engine's own.
func (j *Job) entry(what, subject, before, after, why string) Entry {
	return Entry{At: time.Now(), Who: Self, What: what, Run: j.run.ID, Subject: subject, Why: why, Before: before, After: after}
}

// fresh reports whether, by this process's own monotonic time, the lease
// cannot have run out yet.
func (j *Job) fresh() bool {
	return time.Since(*j.renewed.Load()) < j.engine.opts.Lease
}

// decode reads raw into v; nothing stored leaves v as it is.
func decode(raw json.RawMessage, v any, what string) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("reading the %s: %w", what, err)
	}
	return nil
}
