package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/chart"
)

// Scene is a droplet as a chart shows it: its workers and their verdicts, in
// the same order.
type Scene struct {
	At       time.Time
	Workers  []detector.Worker
	Verdicts []detector.Verdict
	Story    string       // what became of the worker since the verdict; empty: nothing
	Marks    []chart.Mark // what ran in the worker meanwhile
}

// shown bounds how many other workers a chart shows behind its story.
const shown = 4

// Picture draws a finding's worker before the other workers of its droplet.
func (s Scene) Picture(f finding.Finding, zone *time.Location) ([]byte, error) {
	c := chart.Chart{Title: Plain(Headline(f, s.At), maxHeader), At: s.At, Zone: zone, Leaks: f.Verdict.Kind.Leaks()}
	v := f.Verdict
	i := slices.IndexFunc(s.Workers, func(w detector.Worker) bool { return w.Name == f.Subject.Worker })
	if i < 0 {
		return nil, chart.ErrNoData
	}
	c.Lines = append(c.Lines, line(s.Workers[i], v.Metric))
	c.Limit, c.Threshold, c.Events = s.Workers[i].Limit, f.Threshold, s.Workers[i].Events
	if s.Story == "" {
		c.Fit, c.Rate, c.Exhaustion = v.Fit, v.Rate, v.Exhaustion
	} else { // the forecast is about a life that is over
		c.Title, c.Leaks = Plain(f.Subject.Title()+" "+s.Story, maxHeader), false
	}
	for j, w := range s.Workers {
		if j != i && len(c.Lines) <= shown {
			c.Lines = append(c.Lines, line(w, ""))
		}
	}
	c.Subtitle, c.Marks = s.subtitle(f), s.Marks
	return c.PNG()
}

func line(w detector.Worker, metric string) chart.Line {
	metric, _, _ = strings.Cut(metric, "+")
	if metric == "value" {
		metric = "rss"
	}
	points, _ := detector.Footprint(w, detector.Options{Metric: metric})
	return chart.Line{Label: Plain(w.Name, 40), Points: points}
}

// subtitle says what is drawn and how the others stand.
func (s Scene) subtitle(f finding.Finding) string {
	parts := []string{fmt.Sprintf(saysMetricPerWorker, metricWords(f.Verdict.Metric))}
	if r := f.Verdict.Rate; r != nil && f.Verdict.Kind.Leaks() && s.Story == "" {
		since := ""
		if f.Verdict.Onset != nil {
			since = fmt.Sprintf(saysForTime, Duration(s.At.Sub(*f.Verdict.Onset)))
		}
		parts = append(parts, fmt.Sprintf(saysLeaksAt, Rate(r.Value), since))
	}
	leaking := 0
	for _, v := range s.Verdicts {
		if v.Kind.Leaks() {
			leaking++
		}
	}
	switch {
	case s.Story != "":
	case len(s.Workers) > 1 && leaking <= 1 && f.Verdict.Kind.Leaks():
		parts = append(parts, saysOthersDoNot)
	case leaking > 1:
		parts = append(parts, fmt.Sprintf(saysSeveralLeak, leaking))
	}
	return strings.Join(parts, " · ")
}

func metricWords(metric string) string {
	if metric == "" || metric == "value" {
		return "memory"
	}
	name, swap, _ := strings.Cut(metric, "+")
	if swap != "" {
		return fmt.Sprintf(saysWithSwap, strings.ToUpper(name))
	}
	return strings.ToUpper(name)
}
