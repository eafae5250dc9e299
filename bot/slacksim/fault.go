package slacksim

import (
	"maps"
	"time"
)

// Faults are the switches of misfortune. Counts go down as they are used.
type Faults struct {
	// Duplicate delivers the next n requests twice, the second time freshly signed.
	Duplicate int
	// LoseAcks treats the acks of the next n requests as never arrived: the user
	// sees an error.
	LoseAcks int
	// RefuseBlocks refuses messages and views that hold a block of such a type.
	RefuseBlocks map[string]bool
	// ExpireTriggers answers every views.open with expired_trigger_id.
	ExpireTriggers bool
	// LostMessages answers message_not_found for these timestamps; "*" means all.
	LostMessages map[string]bool
	// Codes answers the next calls of a method with these errors, in turn.
	Codes map[string][]string
	// RateLimit answers the next n calls of a method with 429 and RetryAfter.
	RateLimit  map[string]int
	RetryAfter time.Duration // default 1 s; whole seconds
	// ServerError answers the next n calls of a method with an HTML 503, unacted.
	ServerError map[string]int
	// LoseAnswer acts on the next n calls of a method and then cuts the connection.
	LoseAnswer map[string]int
	// FilesNeverReady keeps uploads unusable.
	FilesNeverReady bool
	// Slow delays every answer of the Web API.
	Slow time.Duration
	// RefuseSockets answers apps.connections.open with an error.
	RefuseSockets bool
}

func (f *Faults) init() {
	f.RefuseBlocks, f.LostMessages = map[string]bool{}, map[string]bool{}
	f.Codes, f.RateLimit = map[string][]string{}, map[string]int{}
	f.ServerError, f.LoseAnswer = map[string]int{}, map[string]int{}
}

// Faults changes the switches. The maps are never nil.
func (s *Sim) Faults(change func(*Faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.faults)
	f := s.faults
	s.faults.init()
	// A caller may have replaced a map by nil: copy what is there.
	maps.Copy(s.faults.RefuseBlocks, f.RefuseBlocks)
	maps.Copy(s.faults.LostMessages, f.LostMessages)
	maps.Copy(s.faults.Codes, f.Codes)
	maps.Copy(s.faults.RateLimit, f.RateLimit)
	maps.Copy(s.faults.ServerError, f.ServerError)
	maps.Copy(s.faults.LoseAnswer, f.LoseAnswer)
}

// take uses one of a method's counted faults. The lock is held.
func take(m map[string]int, method string) bool {
	if m[method] == 0 {
		return false
	}
	m[method]--
	return true
}

// chance is true once in n times, by the seed; never when kind. The lock is held.
func (s *Sim) chance(n int) bool { return !s.kind && s.rng.IntN(n) == 0 }
