// Package hub is the service's half: tokens, remote-write intake, orders
// waiting.
//
// Whoever sends is known by a bearer token. An agent's token is bound to one
// droplet: whatever it sends is about that droplet, and only from the machine
// that used it first. A sender's token is bound to a tag: what it sends is
// believed about the droplets that carry it. Nothing is acknowledged before
// it is committed, and a request that is refused leaves nothing behind.
//
// All state is in the store, so any replica may answer any request. What is
// in memory only makes waiting shorter.
package hub

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/sample"
)

// Writer commits what was taken in, as [*history.History] does.
type Writer interface {
	WriteAs(ctx context.Context, owner history.Owner, series []sample.Series) error
}

// Store keeps tokens and orders.
type Store interface {
	TokenStore
	IdentityStore
	OrderStore
}

// Options say whom a hub believes and what it takes. Zero fields have the
// default.
type Options struct {
	// InTag reports whether a droplet carries a tag. nil believes no sender.
	InTag func(ctx context.Context, tag, dropletID string) (bool, error)
	// Locate finds the droplet of a series that names it by no id, but by a
	// name or address in its droplet or instance label; "" for none. nil
	// finds none.
	Locate func(ctx context.Context, tag, name string) (dropletID string, err error)
	// OnClone is told of every request refused because another machine uses
	// an agent's token. It must be quick.
	OnClone func(ctx context.Context, c Clone)
	// Mappings translate foreign series; nil means [DefaultMappings].
	Mappings Mappings

	MaxBody    int64         // compressed bytes of a write; default 4 MiB
	MaxDecoded int           // the same decompressed; default 32 MiB
	MaxItems   int           // series, labels, symbols and samples of a write together; default 1,048,576
	MaxAhead   time.Duration // of a sample before our clock; default 10 minutes
	InFlight   int           // writes at once before the hub says 503; default 64
	AtWork     int           // of those, how many are unpacked and stored at once; default 8
	ReadWithin time.Duration // for a write's body; default 30 seconds
	PerSecond  float64       // writes a token may send before it is told to wait; default 20
	Points     float64       // samples a second and token, over time; default 5,000
	Burst      int           // samples a token may send at once, as after an outage; default 2,500,000
	Log        *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Mappings == nil {
		o.Mappings = DefaultMappings()
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 4 << 20
	}
	if o.MaxDecoded <= 0 {
		o.MaxDecoded = 32 << 20
	}
	if o.MaxAhead <= 0 {
		o.MaxAhead = 10 * time.Minute
	}
	o.InFlight = positive(o.InFlight, 64)
	o.AtWork = positive(o.AtWork, 8)
	o.MaxItems = positive(o.MaxItems, 1<<20)
	o.ReadWithin = positive(o.ReadWithin, 30*time.Second)
	o.PerSecond = positive(o.PerSecond, 20)
	o.Points = positive(o.Points, 5000)
	o.Burst = positive(o.Burst, 2_500_000)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// positive is n, or what stands for a number that was not given.
func positive[T int | float64 | time.Duration](n, otherwise T) T {
	if n <= 0 {
		return otherwise
	}
	return n
}

// Hub answers agents and senders. Its methods may be called by many
// goroutines.
type Hub struct {
	store  Store
	writer Writer
	o      Options
	busy   chan struct{} // one token for each write in flight
	work   chan struct{} // one for each that is unpacked and stored
	rates  rates
	bell   bell
	parts  parts
}

// New returns a hub over a store and a writer of samples.
func New(s Store, w Writer, o Options) *Hub {
	o = o.withDefaults()
	return &Hub{store: s, writer: w, o: o, busy: make(chan struct{}, o.InFlight), work: make(chan struct{}, o.AtWork),
		rates: rates{writes: o.PerSecond, points: o.Points, burst: o.Burst}}
}

// Handler serves the paths of agents and senders.
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+order.PathWrite, h.serveWrite)
	mux.HandleFunc("POST "+PathCollectd, h.serveCollectd)
	mux.HandleFunc("GET "+order.PathOrders, h.serveOrders)
	mux.HandleFunc("POST "+order.PathOrders+"/{key}/claim", h.serveClaim)
	mux.HandleFunc("POST "+order.PathOrders+"/{key}/result", h.serveResult)
	return mux
}

// Run wakes waiting agents when another replica placed an order for them. It
// ends with ctx.
func (h *Hub) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if !h.bell.awaited() {
			continue
		}
		droplets, err := h.store.DropletsWithOrders(ctx)
		if err != nil && ctx.Err() == nil {
			h.o.Log.Error("agents wait longer for orders", "err", err)
		}
		for _, d := range droplets {
			h.bell.ring(d)
		}
	}
}

// bell wakes those who wait for something of one name. Its zero value is
// ready for use.
type bell struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool
}

// wait returns a channel that gets a value at the next ring, and a function
// to stop waiting.
func (b *bell) wait(name string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = map[string]map[chan struct{}]bool{}
	}
	if b.waiting[name] == nil {
		b.waiting[name] = map[chan struct{}]bool{}
	}
	b.waiting[name][c] = true
	return c, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.waiting[name], c)
		if len(b.waiting[name]) == 0 {
			delete(b.waiting, name)
		}
	}
}

func (b *bell) ring(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.waiting[name] {
		select {
		case c <- struct{}{}:
		default: // it has one already
		}
	}
}

func (b *bell) awaited() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) > 0
}
