package main

import (
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
)

// outageJSON is one source that is silent in dropleak sources --json.
type outageJSON struct {
	Kind   string    `json:"kind"` // "silent"
	Source string    `json:"source"`
	Since  time.Time `json:"since"`
	unwatchedJSON
	Finding string `json:"finding"`
}

// outages are the findings about sources that are silent now.
func outages(live []finding.Finding) (out []finding.Finding) {
	for _, f := range live {
		if f.Outage != nil && f.Heard.IsZero() {
			out = append(out, f)
		}
	}
	return out
}

func outagesJSON(live []finding.Finding) []any {
	out := []any{}
	for _, f := range outages(live) {
		out = append(out, outageJSON{"silent", f.Subject.Source, f.Began, *unwatched(f.Outage), f.ID})
	}
	return out
}

func printOutages(s streams, live []finding.Finding) error {
	for _, f := range outages(live) {
		if _, err := fmt.Fprintf(s.out, "%s: %s\n", printable(f.Subject.Source), printable(report.Summary(f, time.Local))); err != nil {
			return err
		}
	}
	return nil
}
