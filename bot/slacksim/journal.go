package slacksim

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// What a journal entry is about.
const (
	Call    = "call"    // a Web API call; Name is the method
	Deliver = "deliver" // a request to the bot; Name is command, block_actions, …
	Acked   = "ack"     // its ack; Took is how long it took
	Respond = "respond" // a use of a response address
	Upload  = "upload"  // bytes of a file
	Socket  = "socket"  // a socket opened or closed
)

// Entry is one line of the journal.
type Entry struct {
	At      time.Time
	Kind    string
	Name    string
	ID      string // envelope id, file id, …
	Channel string
	TS      string
	User    string
	Error   string // Slack's word, "" when fine
	Took    time.Duration
	Body    json.RawMessage // what was sent, without tokens
}

// Journal is all that happened, oldest first.
func (s *Sim) Journal() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Entry(nil), s.journal...)
}

// Calls are the journal's Web API calls of one method.
func (s *Sim) Calls(method string) []Entry {
	var out []Entry
	for _, e := range s.Journal() {
		if e.Kind == Call && e.Name == method {
			out = append(out, e)
		}
	}
	return out
}

// note writes the journal. The lock is held.
func (s *Sim) note(e Entry) {
	e.At = time.Now()
	s.journal = append(s.journal, e)
	if e.Error == "unknown_method" {
		s.log.Error("simulated slack does not know the method", "method", e.Name)
		return
	}
	s.log.Debug("simulated slack", "kind", e.Kind, "name", e.Name, "id", e.ID, "err", e.Error)
}

// Wait returns when cond holds, which it asks again after every change.
func (s *Sim) Wait(ctx context.Context, cond func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// AckTimes are how long the acks in a journal took, shortest first.
func AckTimes(journal []Entry) []time.Duration {
	var out []time.Duration
	for _, e := range journal {
		if e.Kind == Acked && e.Error == "" {
			out = append(out, e.Took)
		}
	}
	slices.Sort(out)
	return out
}
