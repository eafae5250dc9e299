package finding

import (
	"cmp"
	"slices"
	"time"
)

// Kin reports whether two leaks are of one app or unit, so that one cause is
// likely. Two that name different apps are not, whatever else they share: half
// of the world's units are called celery.service.
func Kin(a, b Finding) bool {
	if a.Subject.Kind != KindLeak || b.Subject.Kind != KindLeak || a.Subject == b.Subject {
		return false
	}
	if a.App != "" && b.App != "" {
		return a.App == b.App
	}
	return a.Unit != "" && a.Unit == b.Unit || a.Subject.Worker == b.Subject.Worker
}

// Gather says which of the live findings belong to one incident: leaks of the
// same app or unit whose growth began within a window of each other. It
// returns the incident of each finding that joins one now, by the finding's
// id. An incident bears the id of its first finding, so that two processes
// that gather the same findings name it alike; who has joined stays.
func Gather(live []Finding, window time.Duration) map[string]string {
	var leaks []Finding
	for _, f := range live {
		if f.Subject.Kind == KindLeak && !f.Began.IsZero() && !f.State.Final() && f.State != Muted {
			leaks = append(leaks, f)
		}
	}
	slices.SortFunc(leaks, func(a, b Finding) int { return cmp.Or(a.Opened.Compare(b.Opened), cmp.Compare(a.ID, b.ID)) })
	joined := map[string]string{}
	for i := range leaks {
		f := &leaks[i]
		if f.Incident != "" {
			continue
		}
		for j := range leaks {
			g := &leaks[j]
			if !Kin(*f, *g) || f.Began.Sub(first(leaks, *g)).Abs() > window {
				continue
			}
			if g.Incident == "" {
				g.Incident = leaks[min(i, j)].ID
				joined[g.ID] = g.Incident
			}
			f.Incident = g.Incident
			joined[f.ID] = f.Incident
			break
		}
	}
	return joined
}

// first is when the growth of an incident's first finding began. Joining is
// measured from there, so that a chain of onsets cannot stretch the window.
func first(leaks []Finding, g Finding) time.Time {
	if g.Incident == "" {
		return g.Began
	}
	for _, f := range leaks {
		if f.Incident == g.Incident {
			return f.Began // the earliest opened comes first
		}
	}
	return g.Began
}
