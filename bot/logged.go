package bot

import (
	"log/slog"
	"sync"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/watch"
)

// logged says in the service's own log what Slack is told: when Slack is
// away, it is what whoever is on call can read. The zero logged says
// everything.
type logged struct {
	mu sync.Mutex
	at map[string]string // where each run stood when it was last said
}

// run says where a run stands, once, however often its message is written
// anew.
func (l *logged) run(log *slog.Logger, v remedy.View) {
	if l.moved(v) {
		args := []any{"run", v.Run, "finding", v.Finding, "subject", v.Title(), "step", v.Step}
		if v.Outcome != "" {
			args = append(args, "outcome", string(v.Outcome), "why", v.Why)
		}
		log.Info("run", args...)
	}
}

// moved reports whether a run stands elsewhere than when it was last said.
func (l *logged) moved(v remedy.View) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := v.Step + " " + string(v.Outcome)
	if l.at[v.Run] == now {
		return false
	}
	if l.at == nil || len(l.at) > mostSaid {
		l.at = map[string]string{} // those that go on are said once more
	}
	l.at[v.Run] = now
	return true
}

// mostSaid bounds the runs that are remembered: ended ones stay, since their
// message may be written anew.
const mostSaid = 1000

// finding says that a finding opened, changed or ended.
func (l *logged) finding(log *slog.Logger, c watch.Change) {
	if f := c.Finding; c.What != watch.Seen {
		log.Info("finding", "what", string(c.What), "finding", f.ID, "subject", f.Subject.Title(), "kind", string(f.Subject.Kind),
			"severity", string(f.Severity), "verdict", string(f.Verdict.Kind))
	}
}
