package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Options are what a Desk works with.
type Options struct {
	Store     Store
	Endpoints []Endpoint
	// Wanted returns the alerts that should be firing now. Where it cannot
	// tell it returns an error: not to know is not to resolve.
	Wanted func(context.Context) ([]Alert, error)
	Every  time.Duration // 5 s: between two looks
	Lease  time.Duration // 30 s: how long one send may take before another process tries
	Keep   time.Duration // 7 d: how long what is over is remembered
	Log    *slog.Logger
}

// Desk keeps endpoints told.
type Desk struct{ o Options }

// New returns a Desk; Run makes it work.
func New(o Options) *Desk {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Every, 5*time.Second)
	def(&o.Lease, 30*time.Second)
	def(&o.Keep, 7*24*time.Hour)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Desk{o: o}
}

// Run works until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	tick := time.NewTicker(d.o.Every)
	defer tick.Stop()
	for {
		if err := d.Once(ctx); err != nil && ctx.Err() == nil {
			d.o.Log.Error("call for help", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Once brings the outbox up to date and tells what is due, each endpoint for
// itself: one that hangs holds no other up.
func (d *Desk) Once(ctx context.Context) error {
	errs := []error{d.settle(ctx)}
	dues, err := d.o.Store.Dues(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, e := range d.o.Endpoints {
		wg.Go(func() {
			for _, due := range dues {
				if due.Endpoint != e.Name() || !due.owed() || time.Now().Before(due.Next) || ctx.Err() != nil {
					continue
				}
				if err := d.tell(ctx, e, due); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// owed reports whether the endpoint is to be told: of a change, or again.
func (d Due) owed() bool { return d.Sent < d.Version || d.Firing && !d.Next.IsZero() }

// settle compares what should fire with what the endpoints are to know.
func (d *Desk) settle(ctx context.Context) error {
	wanted, err := d.o.Wanted(ctx)
	if err != nil {
		return fmt.Errorf("see what to call for: %w", err)
	}
	dues, err := d.o.Store.Dues(ctx)
	if err != nil {
		return fmt.Errorf("read the outbox of alerts: %w", err)
	}
	now := time.Now()
	var errs []error
	put := func(x Due) {
		if err := d.o.Store.PutDue(ctx, x); !errors.Is(err, ErrConflict) { // the other process says the same
			errs = append(errs, err)
		}
	}
	for _, e := range d.o.Endpoints {
		for _, a := range wanted {
			i := slices.IndexFunc(dues, func(x Due) bool { return x.Endpoint == e.Name() && x.Alert.Key == a.Key })
			switch {
			case i < 0:
				put(Due{Endpoint: e.Name(), Alert: a, Firing: true, Changed: now, Version: 1})
			case !dues[i].Firing:
				x := dues[i]
				x.Alert, x.Firing, x.Changed, x.Version, x.Tries, x.Next = a, true, now, x.Version+1, 0, time.Time{}
				put(x)
			case a.worse(dues[i].Alert):
				x := dues[i]
				x.Alert, x.Version, x.Tries, x.Next = a, x.Version+1, 0, time.Time{}
				put(x)
			}
		}
	}
	for _, x := range dues {
		gone := !slices.ContainsFunc(wanted, func(a Alert) bool { return a.Key == x.Alert.Key })
		switch {
		case x.Firing && gone && x.Sent == 0 && x.Tries == 0 && x.Next.IsZero():
			errs = append(errs, dropped(d.o.Store.DropDue(ctx, x))) // nobody was told
		case x.Firing && gone:
			x.Firing, x.Changed, x.Version, x.Tries, x.Next = false, now, x.Version+1, 0, time.Time{}
			put(x)
		case !x.Firing && (x.Sent == x.Version || !d.knows(x)) && now.Sub(x.Changed) > d.o.Keep:
			errs = append(errs, dropped(d.o.Store.DropDue(ctx, x)))
		}
	}
	return errors.Join(errs...)
}

func dropped(err error) error {
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// worse reports whether an alert became more urgent than it was told.
func (a Alert) worse(told Alert) bool { return rank[a.Severity] < rank[told.Severity] }

var rank = map[Severity]int{Critical: 0, Error: 1, Warning: 2}

// tell tells an endpoint of one alert. The row is taken first, so that two
// processes do not tell at the same time; one that dies gives it back when
// its lease is over.
func (d *Desk) tell(ctx context.Context, e Endpoint, x Due) error {
	x.Next = time.Now().Add(d.o.Lease)
	if err := d.o.Store.PutDue(ctx, x); err != nil {
		return dropped(err)
	}
	x.Seq++
	send, cancel := context.WithTimeout(ctx, d.o.Lease/2)
	defer cancel()
	err := e.Send(send, x)
	now := time.Now()
	switch {
	case err != nil:
		x.Tries, x.Trouble, x.Next = x.Tries+1, err.Error(), now.Add(rest(x.Tries, err))
		d.o.Log.Warn("an endpoint was not told; it is tried again", "endpoint", e.Name(), "alert", x.Alert.Key, "firing", x.Firing, "try", x.Tries,
			"again", time.Until(x.Next).Round(time.Second), "err", err)
	default:
		x.Sent, x.SentAt, x.Tries, x.Trouble, x.Next = x.Version, now, 0, "", time.Time{}
		if every := e.Refresh(); x.Firing && every > 0 {
			x.Next = now.Add(every)
		}
	}
	// What was taken is written down also while the service ends.
	write, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	return dropped(d.o.Store.PutDue(write, x)) // changed meanwhile: it is told once more
}

// The rests between tries of an endpoint that fails.
const (
	firstRest   = 2 * time.Second
	longestRest = 5 * time.Minute
)

// rest is how long to wait after so many failures, and at least as long as the
// endpoint asked for.
func rest(tries int, err error) time.Duration {
	wait := min(firstRest<<min(tries, 20), longestRest)
	var refused *RefusedError
	if errors.As(err, &refused) {
		wait = max(wait, min(refused.After, time.Hour))
	}
	return wait
}

// Trouble says which endpoints do not take what they are told, for people;
// empty: all do.
func (d *Desk) Trouble(ctx context.Context) ([]string, error) {
	dues, err := d.o.Store.Dues(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	seen := map[string]bool{}
	for _, x := range dues {
		if x.Tries >= 3 && !seen[x.Endpoint] && d.knows(x) {
			seen[x.Endpoint] = true
			out = append(out, fmt.Sprintf("alerts do not reach %s: %s", x.Endpoint, x.Trouble))
		}
	}
	return out, nil
}

// Untold counts what endpoints have not taken yet; -1 when that cannot be told.
func (d *Desk) Untold(ctx context.Context) (n int) {
	dues, err := d.o.Store.Dues(ctx)
	if err != nil {
		return -1
	}
	for _, x := range dues {
		if x.Sent < x.Version && d.knows(x) {
			n++
		}
	}
	return n
}

// knows reports whether a row is for an endpoint that is configured now.
func (d *Desk) knows(x Due) bool {
	return slices.ContainsFunc(d.o.Endpoints, func(e Endpoint) bool { return e.Name() == x.Endpoint })
}
