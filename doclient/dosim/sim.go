// Package dosim is a DigitalOcean in memory, served over HTTP, with faults.
//
// A Sim holds droplets, tokens, actions and snapshots and answers the part of
// the v2 API that dropleak uses, in the documented wire form. It is stateful:
// an action takes time and keeps the droplet busy, a snapshot exists only once
// its action has completed, requests count against both rate limits. Its clock
// is the time package, so it runs in a testing/synctest bubble when it is
// reached through [Sim.Transport], and on a socket when it is used as the
// http.Handler it also is.
//
// It is unkind by default: a fresh action is neither found nor listed at once,
// durations wander, GETs fail now and then, a completed snapshot and a fresh metric point
// show up late. [Sim.Kind] turns all of that off. Faults are added on top with
// [Sim.Inject].
//
// It never guesses. A path, query parameter or body member that it does not
// model is answered with 501, kept in the journal (see [Sim.Unmodelled]) and,
// with Options.Panic, stops the program. Modelled are listing and reading
// droplets, their actions and snapshots, memory_available and memory_total, the
// actions snapshot, reboot and power_cycle, and reading and deleting snapshots.
// Not modelled are images, volumes, backups, prices, and what happens inside a
// droplet: its memory is whatever its Curve says.
//
// It shares no type with the client it faces, so that a wrong field name cannot
// agree with itself.
package dosim

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Options shape a Sim. The zero value is a DigitalOcean with its documented
// limits, ordinary durations and small unkindnesses.
type Options struct {
	// Seed makes the unkindnesses repeatable; 0 is a seed like any other.
	Seed uint64

	// Durations says how long each action type takes; a type that is missing
	// takes its default: snapshot 2 min, reboot 30 s, power_cycle 20 s.
	Durations map[string]time.Duration

	// HourlyLimit and BurstLimit are the requests a token has per hour (sliding)
	// and per minute; 0 means the documented 5000 and 250.
	HourlyLimit, BurstLimit int

	// Retention is how far back metric points are answered; 0 means 14 days.
	Retention time.Duration

	// TimeScale lets one second count as that many: actions, the spacing of
	// metric points (never under 1 s, their resolution) and the windows of the
	// rate limits shrink by it. Time stamps stay real. 0 means 1.
	TimeScale float64

	// Panic makes an unmodelled request stop the program instead of only
	// answering 501.
	Panic bool

	// OnAction, when set, is called after an action starts, completes or fails,
	// in that order and never twice at once; it may call the Sim.
	OnAction func(Action)
}

// Sim is a DigitalOcean in memory. Use [New]; it is safe for concurrent use.
type Sim struct {
	opts Options

	mu        sync.Mutex
	rng       *rand.Rand
	kind      bool
	droplets  map[int]*droplet
	tokens    map[string]*account
	actions   []*action
	snapshots []*snapshot
	faults    []*armed
	failing   map[string]int
	journal   []Entry
	events    []Action // not yet told to OnAction
	telling   bool
	nextID    int
}

// New returns an empty Sim: no droplets, and no token is accepted yet.
func New(opts Options) *Sim {
	if opts.HourlyLimit == 0 {
		opts.HourlyLimit = 5000
	}
	if opts.BurstLimit == 0 {
		opts.BurstLimit = 250
	}
	if opts.Retention == 0 {
		opts.Retention = 14 * 24 * time.Hour
	}
	if opts.TimeScale == 0 {
		opts.TimeScale = 1
	}
	return &Sim{
		opts:     opts,
		rng:      rand.New(rand.NewPCG(opts.Seed, 0x646f73696d)),
		droplets: map[int]*droplet{},
		tokens:   map[string]*account{},
		failing:  map[string]int{},
		nextID:   700_000_000,
	}
}

// Kind turns every built-in unkindness off and returns the Sim: actions are
// visible at once and take exactly their time, GETs do not fail by themselves,
// snapshots and metric points appear without delay. Injected faults stay.
func (s *Sim) Kind() *Sim {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kind = true
	return s
}

// scaled is how long d takes here when one second counts as TimeScale seconds.
func (s *Sim) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / s.opts.TimeScale)
}

// id returns the next identifier; droplets given by the caller never collide
// with it in practice, and actions and snapshots never share one.
func (s *Sim) id() int {
	s.nextID += 1 + s.rng.IntN(9)
	return s.nextID
}

func (s *Sim) requestID() string {
	a, b := s.rng.Uint64(), s.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
}

// settle moves every action that is due to its end. Callers hold s.mu.
func (s *Sim) settle(now time.Time) {
	for _, a := range s.actions {
		if a.Status == inProgress && !now.Before(a.ends) {
			s.finish(a)
		}
	}
}

// Settle brings the state up to now, as the next request would, and calls
// OnAction for what happened meanwhile.
func (s *Sim) Settle() {
	s.mu.Lock()
	s.settle(time.Now())
	s.mu.Unlock()
	s.announce()
}

// announce hands events to OnAction one after the other, without the lock. While
// somebody does so, others leave theirs to him, so that OnAction is never called
// twice at once and may itself call the Sim.
func (s *Sim) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.telling {
		return
	}
	s.telling = true
	defer func() { s.telling = false }()
	for len(s.events) > 0 {
		next := s.events[0]
		s.events = s.events[1:]
		if s.opts.OnAction != nil {
			s.tell(next)
		}
	}
}

func (s *Sim) tell(a Action) {
	s.mu.Unlock()
	defer s.mu.Lock()
	s.opts.OnAction(a)
}

// ServeHTTP answers one API request.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.announce()
	s.serve(w, r)
}
