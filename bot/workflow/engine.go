package workflow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Options tune an engine. Zero fields take the production value.
type Options struct {
	Owner        string        // unique among processes; required
	Lease        time.Duration // 10 s: a dead owner's runs rest this long
	Poll         time.Duration // 1 s: how often to look for due runs
	Workers      int           // 8: runs driven at the same time
	ObserveFor   time.Duration // 2 min: how long to look for a lost act's trace
	ObserveEvery time.Duration // 10 s
	AnnounceFor  time.Duration // 5 s: the most an announcement may hold up a run
	RetryMin     time.Duration // 1 s: first rest after an error, doubled each time
	RetryMax     time.Duration // 1 min
	DrainFor     time.Duration // 20 s: how long Run lets steps in hand finish
	Log          *slog.Logger
}

// Scale returns o with the durations that people wait for divided by n
// (tests and the demo: one second counts as n). Lease and announcements stay
// as they are: processes do not get faster.
func (o Options) Scale(n float64) Options {
	if n <= 0 || n == 1 {
		return o
	}
	o = o.defaults()
	for _, d := range []*time.Duration{&o.Poll, &o.ObserveFor, &o.ObserveEvery, &o.RetryMin, &o.RetryMax} {
		*d = max(time.Duration(float64(*d)/n), 20*time.Millisecond)
	}
	// A request that left may be on its way for real time, on a machine that may be busy.
	o.ObserveFor, o.ObserveEvery = max(o.ObserveFor, 5*time.Second), max(o.ObserveEvery, 200*time.Millisecond)
	return o
}

func (o Options) defaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.Lease, 10*time.Second)
	def(&o.Poll, time.Second)
	def(&o.ObserveFor, 2*time.Minute)
	def(&o.ObserveEvery, 10*time.Second)
	def(&o.AnnounceFor, 5*time.Second)
	def(&o.RetryMin, time.Second)
	def(&o.RetryMax, time.Minute)
	def(&o.DrainFor, 20*time.Second)
	if o.Workers == 0 {
		o.Workers = 8
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Engine drives the runs of its recipes. Any number of engines, in any
// number of processes, may share a store.
type Engine struct {
	store   Store
	recipes map[string]Recipe
	opts    Options
	log     *slog.Logger
	wake    chan struct{}
}

// New returns an engine for the given recipes.
func New(store Store, opts Options, recipes ...Recipe) *Engine {
	opts = opts.defaults()
	e := &Engine{store: store, opts: opts, log: opts.Log, recipes: map[string]Recipe{}, wake: make(chan struct{}, 1)}
	for _, r := range recipes {
		e.recipes[r.Name] = r
	}
	return e
}

// Wake makes a running engine look for due runs now.
func (e *Engine) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Start stores a new run of a recipe, due at once, and wakes the engine.
func (e *Engine) Start(ctx context.Context, r Run, journal ...Entry) error {
	recipe, ok := e.recipes[r.Recipe]
	if !ok {
		return fmt.Errorf("starting run %s: no recipe %q", r.ID, r.Recipe)
	}
	now := time.Now()
	r.Step, r.Created, r.Updated, r.Entered, r.Due, r.Version = recipe.First, now, now, now, now, 1
	if err := e.store.CreateRun(ctx, r, journal...); err != nil {
		return fmt.Errorf("starting run %s: %w", r.ID, err)
	}
	e.Wake()
	return nil
}

// Run drives due runs until ctx ends, then lets the steps in hand finish:
// ending in the middle of a request would turn a known act into one to be
// observed.
func (e *Engine) Run(ctx context.Context) error {
	work, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(e.opts.DrainFor, kill) })()
	var driving sync.WaitGroup
	defer driving.Wait()
	places := make(chan struct{}, e.opts.Workers)
	tick := time.NewTicker(e.opts.Poll)
	defer tick.Stop()
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		asked := time.Now()
		r, err := e.claim(ctx)
		if err == nil {
			driving.Go(func() {
				defer func() { <-places; e.Wake() }()
				e.drive(work, ctx.Done(), r, asked)
			})
			continue
		}
		<-places
		if !errors.Is(err, ErrNone) && ctx.Err() == nil {
			e.log.Error("looking for due runs", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-e.wake:
		}
	}
}

// Once drives one due run until it rests, and reports whether there was one.
func (e *Engine) Once(ctx context.Context) (bool, error) {
	asked := time.Now()
	r, err := e.claim(ctx)
	if errors.Is(err, ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	e.drive(ctx, ctx.Done(), r, asked)
	return true, nil
}

func (e *Engine) claim(ctx context.Context) (Run, error) {
	return e.store.ClaimRun(ctx, e.opts.Owner, time.Now(), e.opts.Lease)
}

// drive works on a run, whose lease was asked for at a moment, until it waits,
// ends, the lease is lost, or a step is finished after stop.
func (e *Engine) drive(ctx context.Context, stop <-chan struct{}, r Run, asked time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j := &Job{engine: e, run: r}
	j.renewed.Store(&asked)
	var beating sync.WaitGroup
	beating.Go(func() { e.heartbeat(ctx, cancel, j, r.ID, r.Token) })
	defer beating.Wait()
	defer cancel()
	for {
		again, err := e.advance(ctx, stop, j)
		if err != nil {
			// Somebody else holds the run now, or the store is away: this
			// owner writes nothing more, and the lease runs out by itself.
			e.log.Warn("run laid down", "run", r.ID, "step", j.run.Step, "err", err)
			return
		}
		if !again {
			return
		}
	}
}

// heartbeat renews the lease until ctx ends, and ends ctx when the lease is
// lost, or may be.
func (e *Engine) heartbeat(ctx context.Context, lost context.CancelFunc, j *Job, id string, token int64) {
	tick := time.NewTicker(e.opts.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked := time.Now()
		err := e.store.RenewRun(ctx, id, token, e.opts.Lease)
		if err == nil {
			j.renewed.Store(&asked)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		e.log.Warn("renewing the lease", "run", id, "err", err)
		if errors.Is(err, ErrFenced) || !j.fresh() {
			lost()
			return
		}
	}
}

// advance asks the step once, stores its answer and tells of it. It reports
// whether the run can go on at once.
func (e *Engine) advance(ctx context.Context, stop <-chan struct{}, j *Job) (bool, error) {
	recipe, known := e.recipes[j.run.Recipe]
	if !known { // a newer replica's: it works, and it tells
		j.run.AnnounceAt = time.Now().Add(e.opts.RetryMax)
		return false, e.rest(ctx, j, j.run.AnnounceAt)
	}
	if j.run.isDue(time.Now()) {
		if err := e.step(ctx, j, recipe); err != nil {
			return false, err
		}
	}
	if err := e.announce(ctx, j, recipe); err != nil {
		return false, err
	}
	select {
	case <-stop:
	default:
		if j.run.isDue(time.Now()) {
			return true, nil
		}
	}
	return false, e.rest(ctx, j, j.run.Due)
}

// step asks the step function and stores its answer.
func (e *Engine) step(ctx context.Context, j *Job, recipe Recipe) error {
	before := j.run
	j.notes = nil
	next, err := e.call(ctx, j, recipe)
	if err == nil {
		err = recipe.allowed(before.Step, next)
	}
	if err != nil {
		if errors.Is(err, ErrFenced) || ctx.Err() != nil {
			return err
		}
		return e.stumble(ctx, j, before, err)
	}
	now := time.Now()
	j.run.Tries, j.run.Trouble, j.run.Updated = 0, "", now
	e.apply(j, next, now)
	changed := j.run.Step != before.Step || j.run.Outcome != "" || before.Tries >= showTries ||
		!bytes.Equal(j.run.Data, before.Data)
	err = e.save(ctx, j, changed)
	if errors.Is(err, ErrConflict) {
		// A person answered while the step was making up its mind to end.
		return e.reload(ctx, j, before)
	}
	return err
}

// reload takes back an answer that came too late and reads the gate again.
func (e *Engine) reload(ctx context.Context, j *Job, before Run) error {
	r, err := e.store.Run(ctx, before.ID)
	if err != nil {
		return fmt.Errorf("reading run %s again: %w", before.ID, err)
	}
	if r.Token != before.Token {
		return fmt.Errorf("reading run %s again: %w", before.ID, ErrFenced)
	}
	j.run, j.notes = r, nil
	return nil
}

// call guards the engine against a step that panics.
func (e *Engine) call(ctx context.Context, j *Job, recipe Recipe) (next Next, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("step %s panicked: %v", j.run.Step, p)
		}
	}()
	return recipe.Steps[j.run.Step].Do(ctx, j)
}

// apply turns a step's answer into the run's next state.
func (e *Engine) apply(j *Job, n Next, now time.Time) {
	r := &j.run
	switch {
	case n.end:
		j.notes = append(j.notes, j.entry("end", r.Step, r.Step, n.to, ""))
		r.Outcome, r.Ended, r.Due = n.to, now, time.Time{}
	case n.to != "":
		j.notes = append(j.notes, j.entry("step", n.to, r.Step, n.to, ""))
		r.Step, r.Entered, r.Due = n.to, now, now
	case n.park:
		r.Due = time.Time{}
	default:
		r.Due = n.at
	}
}

// showTries is how many errors in a row make the trouble visible to people.
const showTries = 3

// stumble notes an error of a step and comes back later and later.
func (e *Engine) stumble(ctx context.Context, j *Job, before Run, cause error) error {
	j.notes, j.run.Data = nil, before.Data
	if errors.Is(cause, ErrConflict) {
		j.run.Due = time.Now() // a person answered meanwhile: look at the gate
		return e.save(ctx, j, false)
	}
	wait := min(e.opts.RetryMin<<min(before.Tries, 20), e.opts.RetryMax)
	j.run.Trouble, j.run.Tries = cut(cause.Error()), before.Tries+1
	j.run.Due = time.Now().Add(wait)
	e.log.Warn("step could not work", "run", j.run.ID, "step", j.run.Step, "try", j.run.Tries, "err", cause)
	return e.save(ctx, j, j.run.Tries == showTries)
}

// cut keeps an error short enough to show.
func cut(s string) string {
	const most = 500
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

func (e *Engine) save(ctx context.Context, j *Job, changed bool) error {
	r, err := e.store.SaveRun(ctx, j.run, changed, j.notes...)
	if err != nil {
		return fmt.Errorf("storing run %s at step %s: %w", j.run.ID, j.run.Step, err)
	}
	j.run, j.notes = r, nil
	return nil
}

// rest gives the lease back.
func (e *Engine) rest(ctx context.Context, j *Job, due time.Time) error {
	j.run.Owner, j.run.Due = "", due
	if err := e.save(ctx, j, false); err != nil {
		return err
	}
	return nil
}
