package remedy_test

import (
	"context"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
)

type people world

func (x *people) Person(_ context.Context, id string) (remedy.Person, error) {
	return remedy.Person{ID: id, Team: map[bool]string{true: "T2", false: team}[id == other], Guest: id == guest, Bot: id == robot}, nil
}

func (x *people) Members(_ context.Context, group string) ([]string, error) {
	if x.groupErr != nil {
		return nil, x.groupErr
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.left {
		return nil, nil
	}
	return map[string][]string{"S1": {bob}}[group], nil
}

type auditLog world

func (x *auditLog) AppendAudit(_ context.Context, e audit.Entry) (audit.Entry, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refusals = append(x.refusals, e)
	return e, nil
}
func (x *auditLog) AuditHead(context.Context) (audit.Head, error) { return audit.Head{}, nil }
func (x *auditLog) AuditEntries(context.Context, audit.Filter) ([]audit.Entry, error) {
	return nil, nil
}

type findings world

func (x *findings) OpenFinding(context.Context, finding.Finding) error { return nil }
func (x *findings) Finding(_ context.Context, id string) (finding.Finding, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f, ok := x.findings[id]
	if !ok {
		return f, finding.ErrNotFound
	}
	return f, nil
}
func (x *findings) LiveFinding(_ context.Context, key string) (finding.Finding, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.findings {
		if f.Subject.Key() == key && !f.State.Final() {
			return f, nil
		}
	}
	return finding.Finding{}, finding.ErrNotFound
}
func (x *findings) Findings(_ context.Context, q finding.Filter) (out []finding.Finding, _ error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.findings {
		if q.Incident != "" && f.Incident == q.Incident && !(q.Live && f.State.Final()) {
			out = append(out, f)
		}
	}
	return out, nil
}
func (x *findings) UpdateFinding(_ context.Context, f finding.Finding) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.findings[f.ID].Version != f.Version {
		return finding.ErrConflict
	}
	f.Version++
	x.findings[f.ID] = f
	return nil
}
