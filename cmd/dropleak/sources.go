package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/configs"
)

func sourcesCommand(s streams) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:     "sources --config FILE [--json]",
		GroupID: "operate",
		Short:   "List who sends samples about what, and when they were last heard of",
		Long: `Sources lists every droplet and worker that was ever heard of and is not
forgotten yet, from which source, when last and how often, and the gaps of the
last day: how many stretches of over three times the usual step, and how long
together. A droplet without a
worker is the droplet's own memory. Then come the sources that the configuration
has the service pull: when they were asked and what their newest sample is, and
a line for each thing that is missing: no answer, no data, no droplet of ours,
no worker named. Last comes a line for each source that is silent, with the
workers that are not watched meanwhile. An agent whose clock is more than 30 s off is warned of. With
--json there is a line of "kind": "pull" for each pulled source, and one of
"kind": "silent" for each that is. It reads the store and changes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withConfig(cmd.Context(), s, f.config, func(c configs.Config, st *store.Store) error {
				seen, err := st.Presences(cmd.Context())
				if err != nil {
					return err
				}
				slices.SortFunc(seen, func(a, b history.Presence) int {
					return strings.Compare(a.DropletID+"\x00"+a.Worker+"\x00"+a.Source, b.DropletID+"\x00"+b.Worker+"\x00"+b.Source)
				})
				tokens, err := st.Tokens(cmd.Context())
				if err != nil {
					return err
				}
				agents := agentsOf(tokens)
				pulls, err := pullsOf(cmd.Context(), c, st)
				if err != nil {
					return err
				}
				live, err := st.Findings(cmd.Context(), finding.Filter{Live: true})
				if err != nil {
					return err
				}
				now := time.Now()
				whole, err := coverage(cmd.Context(), c, st, seen, now)
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(s, append(append(sourcesJSON(seen, agents, whole), pullsJSON(pulls)...), outagesJSON(live)...))
				}
				if err := printSources(s, seen, agents, whole, now); err != nil {
					return err
				}
				if err := printPulls(s, pulls, now); err != nil {
					return err
				}
				return printOutages(s, live)
			})
		},
	}
	f.add(cmd, "")
	return cmd
}

// agentsOf returns the agents' tokens by droplet; of several the one that was
// used last.
func agentsOf(tokens []hub.Token) map[string]hub.Token {
	by := map[string]hub.Token{}
	for _, t := range tokens {
		if t.Kind == hub.Agent && t.Revoked.IsZero() && !t.Seen.At.Before(by[t.Droplet].Seen.At) {
			by[t.Droplet] = t
		}
	}
	return by
}

// sourceJSON is one line of dropleak sources --json.
type sourceJSON struct {
	DropletID string    `json:"droplet_id"`
	Worker    string    `json:"worker"` // empty: the droplet itself
	Source    string    `json:"source"`
	Last      time.Time `json:"last"`
	Interval  *float64  `json:"interval_seconds"`
	Gaps      *int      `json:"gaps"`          // of the last day; null where nothing was told in it
	Missed    *float64  `json:"gap_seconds"`   // together
	Ahead     *float64  `json:"ahead_seconds"` // of the agent's newest sample before our clock, when it came
}

func sourcesJSON(seen []history.Presence, agents map[string]hub.Token, whole map[history.Told]history.Coverage) []any {
	out := []any{}
	for _, p := range seen {
		j := sourceJSON{DropletID: p.DropletID, Worker: p.Worker, Source: sourceName(p), Last: p.Last}
		if p.Interval > 0 {
			seconds := p.Interval.Seconds()
			j.Interval = &seconds
		}
		if c, ok := whole[p.Told()]; ok {
			n, gone := len(c.Gaps), c.Missed().Seconds()
			j.Gaps, j.Missed = &n, &gone
		}
		if p.Source == "" {
			j.Ahead = aheadSeconds(agents[p.DropletID])
		}
		out = append(out, j)
	}
	return out
}

func sourceName(p history.Presence) string {
	if p.Source == "" {
		return "agent"
	}
	return p.Source
}

func printSources(s streams, seen []history.Presence, agents map[string]hub.Token, whole map[history.Told]history.Coverage, at time.Time) error {
	if len(seen) == 0 {
		fmt.Fprintln(s.talk, "no samples have been taken in yet")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DROPLET\tWORKER\tSOURCE\tLAST\tEVERY\tGAPS IN A DAY\tCLOCK")
	for _, p := range seen {
		every := "-"
		if p.Interval > 0 {
			every = report.Duration(p.Interval)
		}
		clock := "-"
		if p.Source == "" {
			clock = clockText(agents[p.DropletID])
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s ago\t%s\t%s\t%s\n", printable(p.DropletID), dash(printable(p.Worker)), printable(sourceName(p)),
			report.Duration(at.Sub(p.Last)), every, gapsText(whole, p), clock)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(agents)) {
		warnClock(s, agents[id])
	}
	return nil
}
