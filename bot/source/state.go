package source

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// FeedState is how a feed stands. It is kept in the store, so that commands
// beside the service can tell.
type FeedState struct {
	Asked    time.Time `json:"asked"`              // when the last pull ended
	Answered time.Time `json:"answered,omitzero"`  // when one last ended without an error
	Newest   time.Time `json:"newest,omitzero"`    // the newest sample that was kept
	Samples  int       `json:"samples"`            // kept of the last pull
	Error    string    `json:"error,omitempty"`    // of the last pull
	Missing  []string  `json:"missing,omitempty"`  // what was asked for in vain
	Unplaced []string  `json:"unplaced,omitempty"` // instances that are no droplet of ours
	Nameless []string  `json:"nameless,omitempty"` // instances that name no worker
}

// Lacks counts what was asked for in vain or could not be placed.
func (s FeedState) Lacks() int { return len(s.Missing) + len(s.Unplaced) + len(s.Nameless) }

const statePrefix = "source/"

// stand keeps how the feed stands after a pull, and tells the log when that
// is something else than before.
func (f *Feed) stand(ctx context.Context, samples int, newest time.Time, missing []string, err error) error {
	now := time.Now().UTC()
	f.forget(now.Add(-2 * overlap).UnixMilli())
	f.mu.Lock()
	s := FeedState{Asked: now, Answered: f.state.Answered, Newest: f.state.Newest, Samples: samples, Missing: missing,
		Unplaced: few(f.lost), Nameless: few(f.bare)}
	if err != nil {
		s.Error = err.Error()
	} else {
		s.Answered = now
	}
	if newest.After(s.Newest) {
		s.Newest = newest.UTC()
	}
	f.state = s
	f.mu.Unlock()
	f.tell(s)
	was, _, _ := StateOf(ctx, f.o.State, f.o.Name) // what cannot be read is written anew
	if was.Answered.After(s.Answered) {            // another replica's, or from before the start
		s.Answered = was.Answered
	}
	if was.Newest.After(s.Newest) {
		s.Newest = was.Newest
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := f.o.State.SetCursor(ctx, statePrefix+f.o.Name, string(text)); err != nil {
		return fmt.Errorf("keep how %s stands: %w", f.o.Name, err)
	}
	return nil
}

// few lists at most ten names, ascending.
func few(names map[string]bool) []string {
	out := slices.Sorted(maps.Keys(names))
	return out[:min(len(out), 10)]
}

// tell logs a state that is not the one last told.
func (f *Feed) tell(s FeedState) {
	said := strings.Join([]string{s.Error, fmt.Sprint(s.Missing), fmt.Sprint(s.Unplaced), fmt.Sprint(s.Nameless)}, "\n")
	if said == f.said {
		return
	}
	f.said = said
	switch {
	case s.Error != "":
		f.o.Log.Warn("a source does not answer; what it would have said is a gap", "source", f.o.Name, "err", s.Error)
	case len(s.Missing)+len(s.Unplaced)+len(s.Nameless) > 0:
		f.o.Log.Warn("a source lacks something", "source", f.o.Name, "without_data", s.Missing, "no_droplet_of_ours", s.Unplaced, "no_worker_named", s.Nameless)
	default:
		f.o.Log.Info("a source answers", "source", f.o.Name, "samples", s.Samples)
	}
}

// State returns how the feed stands.
func (f *Feed) State() FeedState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Every is the time between two pulls.
func (f *Feed) Every() time.Duration { return f.o.Every }

// Name is what history calls the feed.
func (f *Feed) Name() string { return f.o.Name }

// StateOf returns how the feed of a name stands by the store's word; false
// when it never asked.
func StateOf(ctx context.Context, c Cursors, name string) (FeedState, bool, error) {
	text, err := c.Cursor(ctx, statePrefix+name)
	if err != nil || text == "" {
		return FeedState{}, false, err
	}
	var s FeedState
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return FeedState{}, false, fmt.Errorf("state of source %s: %w", name, err)
	}
	return s, true, nil
}
