package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
)

// Memory keeps runs in memory, under the same conformance suite as the SQL
// stores; for tests that need ten thousand runs. Its zero value is ready.
type Memory struct {
	mu      sync.Mutex
	runs    map[string]workflow.Run
	order   []string // ids, oldest first
	leases  map[string]time.Time
	acts    map[string][]workflow.Act
	slots   map[string][]string
	journal []workflow.Entry
}

// Journal returns a copy of everything written down so far.
func (m *Memory) Journal() []workflow.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.journal)
}

// CreateRun implements workflow.Runs.
func (m *Memory) CreateRun(_ context.Context, r workflow.Run, journal ...workflow.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs == nil {
		m.runs, m.leases = map[string]workflow.Run{}, map[string]time.Time{}
		m.acts, m.slots = map[string][]workflow.Act{}, map[string][]string{}
	}
	for _, other := range m.runs {
		if r.ID == other.ID || r.Key != "" && r.Key == other.Key && other.Live() {
			return fmt.Errorf("creating run %s: %w", r.ID, workflow.ErrExists)
		}
	}
	m.runs[r.ID] = r
	m.order = append(m.order, r.ID)
	m.journal = append(m.journal, journal...)
	return nil
}

// Run implements workflow.Runs.
func (m *Memory) Run(_ context.Context, id string) (workflow.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.runs[id]
	if !ok {
		return r, fmt.Errorf("run %s: %w", id, workflow.ErrNotFound)
	}
	return r, nil
}

// Runs implements workflow.Runs.
func (m *Memory) Runs(_ context.Context, f workflow.Filter) ([]workflow.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []workflow.Run
	for _, r := range m.runs {
		if f.Live && !r.Live() || f.Ended && r.Live() || f.Recipe != "" && f.Recipe != r.Recipe ||
			f.Key != "" && f.Key != r.Key || r.Updated.Before(f.Since) {
			continue
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b workflow.Run) int { return b.Created.Compare(a.Created) })
	if f.Limit > 0 && len(out) > f.Limit {
		out = out[:f.Limit]
	}
	return out, nil
}

// DecideRun implements workflow.Runs.
func (m *Memory) DecideRun(_ context.Context, id string, gateVersion int64, gate json.RawMessage, now time.Time, journal ...workflow.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.runs[id]
	if !ok {
		return workflow.ErrNotFound
	}
	if r.GateVersion != gateVersion || !r.Live() {
		return workflow.ErrConflict
	}
	r.Gate, r.Due = gate, now
	r.GateVersion++
	r.Version++
	m.runs[id] = r
	m.journal = append(m.journal, journal...)
	return nil
}

// AmendRun implements workflow.Runs.
func (m *Memory) AmendRun(_ context.Context, id string, gateVersion int64, gate json.RawMessage, journal ...workflow.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.runs[id]
	if !ok {
		return workflow.ErrNotFound
	}
	if r.GateVersion != gateVersion || r.Live() {
		return workflow.ErrConflict
	}
	r.Gate = gate
	r.GateVersion++
	r.Version++
	m.runs[id] = r
	m.journal = append(m.journal, journal...)
	return nil
}

// RetellRun implements workflow.Runs.
func (m *Memory) RetellRun(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.runs[id]
	if !ok {
		return workflow.ErrNotFound
	}
	r.Version++
	r.AnnounceAt = time.Time{}
	m.runs[id] = r
	return nil
}

// SlotHolders implements workflow.Runs.
func (m *Memory) SlotHolders(_ context.Context, slot string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.slots[slot]), nil
}

// ClaimRun implements workflow.Leases.
func (m *Memory) ClaimRun(_ context.Context, owner string, now time.Time, lease time.Duration) (workflow.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var best workflow.Run
	var since time.Time
	for _, id := range m.order {
		r := m.runs[id]
		if r.Owner != "" && time.Now().Before(m.leases[id]) {
			continue
		}
		at, wants := wanted(r, now)
		if wants && (best.ID == "" || at.Before(since)) {
			best, since = r, at
		}
	}
	if best.ID == "" {
		return best, workflow.ErrNone
	}
	best.Owner = owner
	best.Token++
	m.runs[best.ID], m.leases[best.ID] = best, time.Now().Add(lease)
	return best, nil
}

// wanted reports since when a run wants an owner.
func wanted(r workflow.Run, now time.Time) (time.Time, bool) {
	switch {
	case r.Live() && !r.Due.IsZero() && !r.Due.After(now):
		return r.Due, true
	case r.Untold(now):
		return r.AnnounceAt, true
	}
	return time.Time{}, false
}

// RenewRun implements workflow.Leases.
func (m *Memory) RenewRun(_ context.Context, id string, token int64, lease time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.runs[id]; r.Token != token || r.Owner == "" {
		return workflow.ErrFenced
	}
	m.leases[id] = time.Now().Add(lease)
	return nil
}

// SaveRun implements workflow.Leases.
func (m *Memory) SaveRun(_ context.Context, r workflow.Run, changed bool, journal ...workflow.Entry) (workflow.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.runs[r.ID]
	if old.Token != r.Token || old.Owner == "" {
		return r, workflow.ErrFenced
	}
	if old.GateVersion != r.GateVersion {
		if old.Live() && !r.Live() {
			return r, workflow.ErrConflict
		}
		r.Due = old.Due
	}
	r.Gate, r.GateVersion, r.Version = old.Gate, old.GateVersion, old.Version
	if changed {
		r.Version++
	}
	if !r.Live() {
		r.Due = time.Time{}
		for name, held := range m.slots {
			m.slots[name] = slices.DeleteFunc(held, func(id string) bool { return id == r.ID })
		}
	}
	m.runs[r.ID] = r
	m.journal = append(m.journal, journal...)
	return r, nil
}

// TakeSlots implements workflow.Leases.
func (m *Memory) TakeSlots(_ context.Context, id string, token int64, slots []workflow.Slot) ([]workflow.Slot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.runs[id]; r.Token != token || r.Owner == "" {
		return nil, workflow.ErrFenced
	}
	var full []workflow.Slot
	for _, s := range slots {
		if held := m.slots[s.Name]; !slices.Contains(held, id) && len(held) >= s.Limit {
			s.Holders = slices.Clone(held)
			full = append(full, s)
		}
	}
	if len(full) > 0 {
		return full, nil
	}
	for _, s := range slots {
		if !slices.Contains(m.slots[s.Name], id) {
			m.slots[s.Name] = append(m.slots[s.Name], id)
		}
	}
	return nil, nil
}

// ReturnSlots implements workflow.Leases.
func (m *Memory) ReturnSlots(_ context.Context, id string, token int64, but string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.runs[id]; r.Token != token || r.Owner == "" {
		return workflow.ErrFenced
	}
	for name, held := range m.slots {
		if name != but {
			m.slots[name] = slices.DeleteFunc(held, func(h string) bool { return h == id })
		}
	}
	return nil
}

// RunActs implements workflow.Acts.
func (m *Memory) RunActs(_ context.Context, run string) ([]workflow.Act, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.acts[run]), nil
}

// PlanAct implements workflow.Acts.
func (m *Memory) PlanAct(_ context.Context, a workflow.Act, token int64, journal ...workflow.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.runs[a.Run]; r.Token != token || r.Owner == "" {
		return workflow.ErrFenced
	}
	if m.find(a) < 0 {
		m.acts[a.Run] = append(m.acts[a.Run], a)
		m.journal = append(m.journal, journal...)
	}
	return nil
}

// MoveAct implements workflow.Acts.
func (m *Memory) MoveAct(_ context.Context, a workflow.Act, from workflow.ActState, token, gateVersion int64, journal ...workflow.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, i := m.runs[a.Run], m.find(a)
	if r.Token != token || r.Owner == "" || i < 0 || m.acts[a.Run][i].State != from {
		return workflow.ErrFenced
	}
	if from == workflow.Planned && a.State == workflow.Sent {
		if r.GateVersion != gateVersion {
			return workflow.ErrConflict
		}
		r.GateVersion++
		r.Version++
		m.runs[a.Run] = r
	}
	m.acts[a.Run][i] = a
	m.journal = append(m.journal, journal...)
	return nil
}

// find returns the place of an act, or -1.
func (m *Memory) find(a workflow.Act) int {
	return slices.IndexFunc(m.acts[a.Run], func(b workflow.Act) bool { return a.Name == b.Name })
}

var _ workflow.Store = (*Memory)(nil)
