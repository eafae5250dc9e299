package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
)

// tongue is how a sentence shows moments and outside names.
type tongue struct {
	date func(time.Time) string
	name func(string) string
}

// summary is the one sentence of a finding without a verdict, for Slack. That
// of silence tells times, which stand in the reader's zone.
func summary(f finding.Finding) string {
	if !told(f) {
		return Escape(sentence(f.Summary))
	}
	return silenceWords(f, tongue{Date, Escape})
}

// Summary is the same in plain text, with times in a zone.
func Summary(f finding.Finding, zone *time.Location) string {
	if !told(f) {
		return sentence(f.Summary)
	}
	said := silenceWords(f, tongue{func(t time.Time) string { return Moment(t, zone) }, func(s string) string { return Plain(s, 500) }})
	return strings.NewReplacer("`", "", "*", "").Replace(said)
}

// told reports whether a finding keeps the times of a silence: those of one
// found by an earlier version are in its words alone.
func told(f finding.Finding) bool {
	return f.Subject.Kind.OfSilence() && !f.Began.IsZero()
}

func silenceWords(f finding.Finding, in tongue) string {
	if f.Outage != nil && f.Heard.IsZero() {
		return outageWords(f, in)
	}
	if f.Missing != nil && f.Heard.IsZero() {
		return missingWords(f, in)
	}
	since, from, again := saysNoAgentSince, saysNoAgentFrom, saysHeardAgain
	var named []any
	switch {
	case f.Subject.Kind == finding.KindMissing && f.Missing == nil: // an older release left out whom
		since, from, again, named = saysMissingNoNames, saysMissingFrom, saysMissingAgain, []any{saysMissingWho}
	case f.Missing != nil:
		from, again, named = saysMissingFrom, saysMissingAgain, []any{count(f.Missing.All(), "worker")}
	case f.Subject.Source != "":
		since, from = saysNoSourceSince, saysNoSourceFrom
		named = []any{in.name(f.Subject.Source)}
	case f.Source != "":
		since, from = saysNoSourceSince, saysNoSourceFrom
		named = []any{in.name(f.Source)}
	case f.Subject.Kind == finding.KindNoMetrics:
		since, from = saysNoMetricsSince, saysNoMetricsFrom
	case f.Subject.Worker != "":
		since, from = saysNoWorkerSince, saysNoWorkerFrom
	}
	switch {
	case f.Heard.IsZero():
		return fmt.Sprintf(since, append(named, in.date(f.Began))...)
	case f.State.Final():
		return fmt.Sprintf(from, append(named, in.date(f.Began), in.date(f.Heard))...)
	}
	return fmt.Sprintf(from, append(named, in.date(f.Began), in.date(f.Heard))...) + again
}

// gone says after a droplet's name how what went missing together on it stands.
func gone(f finding.Finding) string {
	m := f.Missing
	switch {
	case !f.Heard.IsZero():
		return saysMissingBack
	case m == nil:
		return fmt.Sprintf(saysMissingWorkers, "workers")
	case len(m.Workers) == 0:
		return saysMissingUnseen
	}
	said := saysMissingWorkers
	if m.Off {
		said = saysMissingOff
	}
	return fmt.Sprintf(said, missingWorkers(*m))
}

// have is the verb of a number of things.
func have(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

// missingWorkers counts them, of how many: "3 workers", "1 of 3 workers".
func missingWorkers(m finding.Missing) string {
	if len(m.Back) > 0 {
		return fmt.Sprintf(saysOfAll, len(m.Workers), count(m.All(), "worker"))
	}
	return count(m.All(), "worker")
}

// mostNamed is how many of a droplet's workers are told by name.
const mostNamed = 8

// missingWords say what of a droplet is not seen, since when, and what to do.
func missingWords(f finding.Finding, in tongue) string {
	m, mend, memory := f.Missing, fmt.Sprintf(saysMendReach, in.name(f.Source)), ""
	switch {
	case m.Off:
		mend = saysMendOff
	case len(m.Workers) == 0:
		mend = saysMendMemory
	case f.Source == "":
		mend = saysMendAgentsOwn
	}
	if len(m.Workers) == 0 {
		return fmt.Sprintf(saysMissingMemory, in.date(f.Began), mend)
	}
	if m.Memory {
		memory = saysMissingNoMemory
	}
	var names []string
	for _, w := range m.Workers[:min(len(m.Workers), mostNamed)] {
		names = append(names, in.name(w))
	}
	if more := len(m.Workers) - len(names); more > 0 {
		names = append(names, fmt.Sprintf(saysMore, more))
	}
	return fmt.Sprintf(saysMissingSince, missingWorkers(*m), have(len(m.Workers)), in.date(f.Began), list(names), memory, mend)
}

// outageWords say since when a source is silent, what that leaves unwatched,
// and what to do.
func outageWords(f finding.Finding, in tongue) string {
	o, how, mend, trouble := f.Outage, "", saysMendAsked, ""
	switch {
	case o.Sends:
		mend = saysMendSender
	case o.Answers:
		how, mend = saysOutageAnswers, saysMendAnswers
	case o.Trouble != "":
		trouble = fmt.Sprintf(saysOutageTrouble, strings.TrimRight(in.name(o.Trouble), "."))
	}
	switch {
	case o.Removed:
		return fmt.Sprintf(saysOutageRemoved, in.name(f.Subject.Source), in.date(f.Began), unwatched(*o))
	case o.Never:
		return fmt.Sprintf(saysOutageNever, in.name(f.Subject.Source), in.date(f.Began), trouble)
	case f.Subject.Source == cloudSource:
		mend = saysMendCloud
	}
	return fmt.Sprintf(saysOutageSince, in.name(f.Subject.Source), in.date(f.Began), how, unwatched(*o), mend, trouble)
}

// cloudSource is what history calls DigitalOcean's own metrics.
const cloudSource = "digitalocean"
