// Package demo plays the whole job on one machine: the real service, the real
// agent code and a process that really leaks, between a simulated Slack and a
// simulated DigitalOcean.
//
// The droplet is imagined: a gigabyte of memory and a supervisord of a few
// lines. What runs on it is real: child processes of the demo that play Celery
// workers, whose pids and memory the agent reads from /proc. Time is scaled;
// no number is made up.
//
// [Run] waits for a person at the page, [Story] plays by itself and judges
// what happened by the journals of the simulators alone. Nothing outlives
// either: children die with the demo, whatever kills it.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong in the demo.
type Fault string

// The faults. The zero Fault is none.
const (
	NoRecovery      Fault = "no-recovery"      // the restarted worker takes the memory again at once
	ErroredSnapshot Fault = "errored-snapshot" // DigitalOcean ends the snapshot with an error
	Crash           Fault = "crash"            // the service is killed between snapshot and restart
)

// Faults are all of them.
var Faults = []Fault{NoRecovery, ErroredSnapshot, Crash}

// ParseFault reads the name of a fault; "" is none.
func ParseFault(s string) (Fault, error) {
	if f := Fault(s); s == "" || slices.Contains(Faults, f) {
		return f, nil
	}
	var names []string
	for _, f := range Faults {
		names = append(names, string(f))
	}
	return "", fmt.Errorf("fault %q is not one of %s", s, strings.Join(names, ", "))
}

// Options say how the demo is played.
type Options struct {
	Listen string // of the page; "" a free port on loopback
	Fault  Fault
	Keep   string // the directory to leave everything in; "" a temporary one, removed
	// Out gets results, Talk what a person wants to know meanwhile.
	Out, Talk io.Writer
}

// Run plays the demo until ctx ends: the page is there, a person presses the
// buttons.
func Run(ctx context.Context, o Options) error {
	w, err := open(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(w.interactive(ctx), w.close())
}

func (w *world) interactive(ctx context.Context) error {
	fmt.Fprintf(w.o.Out, "%s/?user=%s&channel=%s\n", w.slack.URL(), anna, channel)
	w.say("open that page: it is #ops of a simulated Slack, and you are Anna, who may approve; Ctrl-C ends the demo")
	if _, err := w.awaitReport(ctx); err != nil {
		return quiet(ctx, err)
	}
	w.say("the report is there: press \"Snapshot & restart\"")
	select {
	case <-ctx.Done():
		w.say("stopping")
		return nil
	case err := <-w.broken:
		return err
	}
}

// quiet forgets errors that only say that the person at the terminal had
// enough.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// say tells the person at the terminal how far things are.
func (w *world) say(format string, args ...any) {
	fmt.Fprintf(w.o.Talk, "%5.1fs  %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}
