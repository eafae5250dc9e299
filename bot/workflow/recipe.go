package workflow

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Recipe is the steps a kind of run can be at.
type Recipe struct {
	Name  string
	First string
	Steps map[string]Step
	// Announce tells whoever watches what the run looks like now, and returns
	// nil when that was accepted. It is called after every visible change by
	// the run's owner only, at least once, again after an error, once more
	// after an owner that may have told and was replaced, and for the final
	// state too. Nil: nobody watches.
	Announce func(ctx context.Context, r Run) error
	// Glimpse shows a state that the run is about to leave, without waiting
	// until that was accepted: it is not counted as told. Nil: Announce does.
	Glimpse func(ctx context.Context, r Run) error
}

// Step is one named place in a recipe.
type Step struct {
	// Do works on the run. An error means that it could not work now: it is
	// called again, later and later.
	Do func(ctx context.Context, j *Job) (Next, error)
	// Next lists the steps and outcomes it may answer with.
	Next []string
}

// Next is a step function's answer.
type Next struct {
	to   string
	end  bool
	at   time.Time
	park bool
}

// Go moves the run to another step.
func Go(step string) Next { return Next{to: step} }

// End ends the run.
func End(outcome string) Next { return Next{to: outcome, end: true} }

// Wait stays at the step until a time, or until the gate changes.
func Wait(until time.Time) Next { return Next{at: until} }

// Park stays at the step until the gate changes.
func Park() Next { return Next{park: true} }

// allowed reports whether the recipe lets a step answer n.
func (r Recipe) allowed(step string, n Next) error {
	if n.to == "" {
		return nil
	}
	if !slices.Contains(r.Steps[step].Next, n.to) {
		return fmt.Errorf("recipe %s: step %s may not go to %s", r.Name, step, n.to)
	}
	if _, ok := r.Steps[n.to]; ok == n.end {
		return fmt.Errorf("recipe %s: %s is not a step to go to or outcome to end with", r.Name, n.to)
	}
	return nil
}
