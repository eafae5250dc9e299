package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ActState is how far an act has gone.
type ActState string

// The states of an act. Done, Refused and Unknown are final.
const (
	Planned ActState = "planned" // written down; nothing has left
	Sent    ActState = "sent"    // the request leaves now, or has left
	Done    ActState = "done"    // it was taken; Result says what came of it
	Refused ActState = "refused" // it was answered that nothing was done
	Unknown ActState = "unknown" // nobody can tell
)

// Act is one request to the world, as stored.
type Act struct {
	Run, Name string
	State     ActState
	Request   json.RawMessage // what was asked, for people
	Result    json.RawMessage // with Done
	Why       string          // with Refused and Unknown, in words
	Retry     bool            // with Refused: another act may ask the same later
	Looks     int             // observations made since it was found sent
	Planned   time.Time
	Sent      time.Time
	FirstLook time.Time // zero: never observed
	Over      time.Time // zero until final
	Again     time.Time // with Sent: when to come back; not stored
}

// Request describes an act to carry out.
type Request struct {
	Name string // unique within the run
	Body any    // what is asked, stored as JSON
	// Repeatable says that asking again does no harm, because whoever is
	// asked knows the run and does it once.
	Repeatable bool
	// Send asks. An error wrapped by [NotTaken] says for certain that nothing
	// was done; any other error says that nobody knows.
	Send func(ctx context.Context) (any, error)
	// Observe looks, without asking for anything, at what has happened since
	// the act was sent. Needed unless Repeatable.
	Observe func(ctx context.Context, sent time.Time) ([]Sighting, error)
}

// Sighting is something out there that may be the trace of an act.
type Sighting struct {
	Result  any
	Certain bool // it bears the run's own name: no need to look longer
}

// notTaken marks an error that says for certain that nothing was done.
type notTaken struct {
	err   error
	retry bool
}

func (n notTaken) Error() string { return n.err.Error() }
func (n notTaken) Unwrap() error { return n.err }

// NotTaken says of err that the request it answers did nothing, and whether
// it may be asked again, as an act of another name.
func NotTaken(err error, retry bool) error { return notTaken{err, retry} }

// Act carries an act as far as it can go now and returns where it stands.
// With Sent the step waits until Again and calls Act once more. ErrConflict
// means that a person answered at the gate before the act could leave: the
// step looks at the gate again.
func (j *Job) Act(ctx context.Context, q Request) (Act, error) {
	a, found, err := j.act(ctx, q.Name)
	if err != nil {
		return Act{}, err
	}
	if !found {
		if a, err = j.plan(ctx, q); err != nil {
			return Act{}, err
		}
	}
	switch {
	case a.State == Planned:
		return j.send(ctx, a, q, Planned)
	case a.State == Sent && q.Repeatable:
		return j.send(ctx, a, q, Sent)
	case a.State == Sent:
		return j.observe(ctx, a, q)
	}
	return a, nil
}

// act returns the stored act of that name.
func (j *Job) act(ctx context.Context, name string) (Act, bool, error) {
	acts, err := j.engine.store.RunActs(ctx, j.run.ID)
	if err != nil {
		return Act{}, false, fmt.Errorf("reading the acts of run %s: %w", j.run.ID, err)
	}
	for _, a := range acts {
		if a.Name == name {
			return a, true, nil
		}
	}
	return Act{}, false, nil
}

// plan writes down what is about to be asked.
func (j *Job) plan(ctx context.Context, q Request) (Act, error) {
	body, err := json.Marshal(q.Body)
	if err != nil {
		return Act{}, fmt.Errorf("writing down act %s: %w", q.Name, err)
	}
	a := Act{Run: j.run.ID, Name: q.Name, State: Planned, Request: body, Planned: time.Now()}
	err = j.engine.store.PlanAct(ctx, a, j.run.Token, j.entry("act", q.Name, "", string(Planned), string(body)))
	if err != nil {
		return Act{}, fmt.Errorf("planning act %s: %w", q.Name, err)
	}
	return a, nil
}

// send commits that the request leaves, then lets it leave.
func (j *Job) send(ctx context.Context, a Act, q Request, from ActState) (Act, error) {
	if !j.fresh() {
		return Act{}, fmt.Errorf("sending act %s: %w", a.Name, ErrFenced)
	}
	if from == Planned {
		a.State, a.Sent = Sent, time.Now()
		err := j.engine.store.MoveAct(ctx, a, from, j.run.Token, j.run.GateVersion,
			j.entry("act", a.Name, string(from), string(Sent), ""))
		if err != nil {
			return Act{}, fmt.Errorf("marking act %s sent: %w", a.Name, err)
		}
		j.run.GateVersion++
	}
	if !j.fresh() {
		// This process slept through its lease between the commit and here:
		// somebody else may be observing already, so nothing leaves.
		return Act{}, fmt.Errorf("sending act %s: %w", a.Name, ErrFenced)
	}
	result, err := q.Send(ctx)
	var no notTaken
	switch {
	case err == nil:
		return j.finish(ctx, a, Done, result, "")
	case errors.As(err, &no):
		a.Retry = no.retry
		return j.finish(ctx, a, Refused, nil, err.Error())
	}
	j.engine.log.Warn("nobody knows whether the act was done", "run", j.run.ID, "act", a.Name, "err", err)
	a.Again = time.Now().Add(j.engine.opts.ObserveEvery)
	return a, nil
}

// observe looks for the trace of an act that was found sent. One look a
// call; the verdict falls after the whole window, because a request may
// still be on its way, and on exactly one candidate.
func (j *Job) observe(ctx context.Context, a Act, q Request) (Act, error) {
	now := time.Now()
	if a.FirstLook.IsZero() {
		a.FirstLook = now
	}
	seen, err := q.Observe(ctx, a.Sent)
	if err != nil {
		return Act{}, fmt.Errorf("looking for the trace of act %s: %w", a.Name, err)
	}
	for _, s := range seen {
		if s.Certain {
			return j.finish(ctx, a, Done, s.Result, "")
		}
	}
	a.Looks++
	if !j.lookedLongEnough(a, now) {
		if err := j.engine.store.MoveAct(ctx, a, Sent, j.run.Token, 0); err != nil {
			return Act{}, fmt.Errorf("noting a look for act %s: %w", a.Name, err)
		}
		a.Again = now.Add(j.engine.opts.ObserveEvery)
		return a, nil
	}
	if len(seen) == 1 {
		return j.finish(ctx, a, Done, seen[0].Result, "")
	}
	why := fmt.Sprintf("%d candidates after looking for %v", len(seen), now.Sub(a.FirstLook).Round(time.Second))
	return j.finish(ctx, a, Unknown, nil, why)
}

// lookedLongEnough asks for the window by the clock and for as many looks as
// fit into it, so that a clock that jumps ahead cannot cut it short.
func (j *Job) lookedLongEnough(a Act, now time.Time) bool {
	o := j.engine.opts
	return now.Sub(a.FirstLook) >= o.ObserveFor && a.Looks > int(o.ObserveFor/o.ObserveEvery)
}

// finish stores how an act ended.
func (j *Job) finish(ctx context.Context, a Act, to ActState, result any, why string) (Act, error) {
	a.State, a.Why, a.Over = to, why, time.Now()
	if to == Done {
		raw, err := json.Marshal(result)
		if err != nil {
			return Act{}, fmt.Errorf("writing down the result of act %s: %w", a.Name, err)
		}
		a.Result = raw
	}
	after := string(to)
	if len(a.Result) > 0 {
		after += " " + string(a.Result)
	}
	err := j.engine.store.MoveAct(ctx, a, Sent, j.run.Token, 0, j.entry("act", a.Name, string(Sent), after, why))
	if err != nil {
		return Act{}, fmt.Errorf("storing the end of act %s: %w", a.Name, err)
	}
	return a, nil
}

// GiveUp ends an act that has not ended by itself: one that never left is
// refused, one that may have left is unknown. A final act stays as it is.
func (j *Job) GiveUp(ctx context.Context, name, why string) (Act, error) {
	a, found, err := j.act(ctx, name)
	if err != nil || !found {
		return a, err
	}
	from, to := a.State, Refused
	switch from {
	case Planned:
	case Sent:
		to = Unknown
	default:
		return a, nil
	}
	a.State, a.Why, a.Over = to, why, time.Now()
	err = j.engine.store.MoveAct(ctx, a, from, j.run.Token, 0, j.entry("act", name, string(from), string(to), why))
	if err != nil {
		return Act{}, fmt.Errorf("giving up act %s: %w", name, err)
	}
	return a, nil
}

// Find returns the act of that name as stored, and whether there is one.
func (j *Job) Find(ctx context.Context, name string) (Act, bool, error) { return j.act(ctx, name) }
