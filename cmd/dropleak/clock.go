package main

import (
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/report"
)

// skewed is how far a sender's clock may be off before somebody should know.
const skewed = 30 * time.Second

// clockText says how a sender's clock stands, by its newest samples when they
// came: those of a clock that is right are a moment old.
func clockText(t hub.Token) string {
	ahead := t.Seen.Ahead
	switch {
	case t.Seen.At.IsZero():
		return "-"
	case ahead > skewed:
		return report.Duration(ahead) + " ahead"
	case ahead < -skewed:
		return report.Duration(-ahead) + " behind"
	}
	return "good"
}

// warnClock says what is wrong with a sender's clock, if anything is. Samples
// from the past need not mean a slow clock: a sender that was cut off sends
// what it kept.
func warnClock(s streams, t hub.Token) {
	ahead := t.Seen.Ahead
	if t.Seen.At.IsZero() || !t.Revoked.IsZero() || ahead.Abs() <= skewed {
		return
	}
	why := "its clock is slow, or it sends what it kept while it was cut off"
	if ahead > 0 {
		why = "its clock is fast"
	}
	fmt.Fprintf(s.talk, "warning: samples of token %s (%s) were %s when they came at %s: %s; samples at wrong times spoil rates and verification\n",
		t.ID, printable(t.Name), clockText(t), t.Seen.At.Local().Format(time.DateTime), why)
}

// aheadSeconds is how far the newest samples of a token lay before our clock,
// nil before its first use.
func aheadSeconds(t hub.Token) *float64 {
	if t.Seen.At.IsZero() {
		return nil
	}
	seconds := t.Seen.Ahead.Seconds()
	return &seconds
}
