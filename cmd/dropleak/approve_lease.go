package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/schedule"
)

// leaseFlags are the terms of a lease, as *Keep it alive until …* asks for
// them in Slack.
type leaseFlags struct {
	until, below string
	times        int
}

func (l *leaseFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.until, "keep-alive-until", "", "grant a lease instead: restart as often as needed until `TIME`, as in 08:00, 12h or 2026-11-23T08:00:00Z")
	cmd.Flags().StringVar(&l.below, "below", "", "of a lease: restart when less than this `DURATION` is left until memory runs out, as in 30m")
	cmd.Flags().IntVar(&l.times, "times", 0, "of a lease: at most `N` restarts")
}

// terms are those of the lease that is asked for; nil: none is.
func (l *leaseFlags) terms(now time.Time) (*remedy.Terms, error) {
	if l.until == "" && l.below == "" && l.times == 0 {
		return nil, nil
	}
	if l.until == "" || l.below == "" || l.times == 0 {
		return nil, errors.New("a lease needs --keep-alive-until, --below and --times")
	}
	until, err := toCome(l.until, now)
	if err != nil {
		return nil, fmt.Errorf("--keep-alive-until: %w", err)
	}
	below, err := schedule.ParseDuration(l.below)
	if err != nil {
		return nil, fmt.Errorf("--below: %w", err)
	}
	return &remedy.Terms{Below: below, Until: until.UTC(), Most: l.times}, nil
}

// toCome reads a time to come: RFC 3339, a length from now, or the next time
// that the clock of this machine shows so.
func toCome(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if d, err := schedule.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	clock, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time: as in 08:00, 12h or 2026-11-23T08:00:00Z", text)
	}
	at := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), 0, 0, now.Location())
	if !at.After(now) {
		at = time.Date(now.Year(), now.Month(), now.Day()+1, clock.Hour(), clock.Minute(), 0, 0, now.Location())
	}
	return at, nil
}

// leaseWords says what granting or revoking a lease would do.
func leaseWords(v remedy.View, d remedy.Decision) []string {
	if d.Kind == remedy.Revoke {
		if v.Lease == nil {
			return []string{"No lease is known for it."}
		}
		return []string{fmt.Sprintf("Its lease ends now, %d of %d restarts used. A run under it is cancelled unless its restart order was sent.",
			v.Lease.Used, v.Lease.Terms.Most)}
	}
	lines := []string{fmt.Sprintf("Grants a lease: by itself, when less than %s is left, until %s, at most %d times.",
		report.Duration(d.Terms.Below), d.Terms.Until.Local().Format("2 January 15:04 MST"), d.Terms.Most)}
	lines = append(lines, restarts(v)...)
	return append(lines, "One snapshot is made before the first of them and counts for all.",
		fmt.Sprintf("It takes %d people on these terms; this is one of %s.", v.Need, d.By))
}
