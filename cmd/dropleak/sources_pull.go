package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/configs"
)

// pull is a source of the configuration and how it stands.
type pull struct {
	configs.Source
	source.FeedState
	asked bool // ever
}

func pullsOf(ctx context.Context, c configs.Config, st *store.Store) (out []pull, err error) {
	for _, s := range c.Sources {
		p := pull{Source: s}
		if p.FeedState, p.asked, err = source.StateOf(ctx, st, s.Name); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// pullJSON is one pulled source in dropleak sources --json.
type pullJSON struct {
	Kind   string  `json:"kind"` // "pull"
	Source string  `json:"source"`
	Type   string  `json:"type"`
	URL    string  `json:"url"`
	Every  float64 `json:"every_seconds"`
	source.FeedState
	Trouble []string `json:"trouble"`
}

func pullsJSON(pulls []pull) (out []any) {
	for _, p := range pulls {
		out = append(out, pullJSON{"pull", p.Name, p.Type, p.URL, time.Duration(p.Every).Seconds(), p.FeedState, append([]string{}, p.trouble()...)})
	}
	return out
}

// trouble lists what is missing of a source.
func (p pull) trouble() (out []string) {
	if !p.asked {
		return []string{"was not asked yet: has the service been started with this configuration?"}
	}
	if p.Error != "" {
		out = append(out, "does not answer: "+p.Error)
	}
	for _, q := range p.Missing {
		out = append(out, "has no data for "+q)
	}
	for _, name := range p.Unplaced {
		out = append(out, name+" is no droplet of ours: name one by droplet or droplet_labels")
	}
	for _, name := range p.Nameless {
		out = append(out, name+" names no worker: set worker or worker_labels")
	}
	return out
}

func printPulls(s streams, pulls []pull, at time.Time) error {
	if len(pulls) == 0 {
		return nil
	}
	ago := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return report.Duration(at.Sub(t)) + " ago"
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nPULLED\tTYPE\tFROM\tEVERY\tASKED\tNEWEST SAMPLE\tMISSING")
	for _, p := range pulls {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", p.Name, p.Type, printable(p.URL), report.Duration(time.Duration(p.Every)), ago(p.Asked), ago(p.Newest), len(p.trouble()))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range pulls {
		for _, t := range p.trouble() {
			fmt.Fprintf(s.out, "%s: %s\n", p.Name, printable(strings.ReplaceAll(t, "\n", " ")))
		}
	}
	return nil
}
