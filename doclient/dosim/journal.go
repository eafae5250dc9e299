package dosim

import (
	"slices"
	"strings"
	"time"
)

// Kinds of journal entries.
const (
	// KindRequest is a request that was answered or whose connection was dropped.
	KindRequest = "request"
	// KindUnmodelled is a request this simulator does not know; see Detail.
	KindUnmodelled = "unmodelled"
	// KindActionStarted, KindActionCompleted and KindActionErrored are the life
	// of an action.
	KindActionStarted   = "action_started"
	KindActionCompleted = "action_completed"
	KindActionErrored   = "action_errored"
	// KindSnapshotCreated and KindSnapshotDeleted are the life of a snapshot.
	KindSnapshotCreated = "snapshot_created"
	KindSnapshotDeleted = "snapshot_deleted"
)

// Entry is one line of the journal: a request or a change of state, and when it
// happened. A change that fell due between two requests carries the moment it
// fell due, not the moment it was noticed.
type Entry struct {
	At   time.Time
	Kind string

	// Of requests: method, path with query, bearer token, status sent (0 when
	// the connection was dropped), the request id answered, what was unusual.
	Method, Path string
	Token        string
	Status       int
	RequestID    string
	Detail       string

	// Of changes of state: the droplet, the action with its type, the snapshot
	// with its name.
	DropletID    int
	ActionID     int
	ActionType   string
	SnapshotID   int
	SnapshotName string
}

// Journal returns everything that happened so far, in order of time.
func (s *Sim) Journal() []Entry {
	s.Settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.journal)
	slices.SortStableFunc(out, func(a, b Entry) int { return a.At.Compare(b.At) })
	return out
}

// Entries returns the journal's entries of one kind.
func (s *Sim) Entries(kind string) []Entry {
	return slices.DeleteFunc(s.Journal(), func(e Entry) bool { return e.Kind != kind })
}

// Unmodelled returns the requests that were answered with 501 because this
// simulator does not know them; a test should end with none.
func (s *Sim) Unmodelled() []Entry { return s.Entries(KindUnmodelled) }

// Requests returns the requests of a method whose path, without query, begins
// with prefix. Dropped and refused ones are among them.
func (s *Sim) Requests(method, prefix string) []Entry {
	return slices.DeleteFunc(s.Journal(), func(e Entry) bool {
		return (e.Kind != KindRequest && e.Kind != KindUnmodelled) ||
			e.Method != method || !strings.HasPrefix(e.Path, prefix)
	})
}

func (s *Sim) note(e Entry) { s.journal = append(s.journal, e) }
