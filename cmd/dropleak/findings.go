package main

import (
	"cmp"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/detector"
)

// listFlags are those of the commands that list what the store holds.
type listFlags struct {
	config    string
	all, json bool
	limit     int
}

func (f *listFlags) add(cmd *cobra.Command, all string) {
	configFlag(cmd, &f.config)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	if all != "" {
		cmd.Flags().BoolVar(&f.all, "all", false, all)
		cmd.Flags().IntVar(&f.limit, "limit", 100, "at most `N` of them")
		run := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if f.limit < 1 {
				return misused(cmd, fmt.Errorf("--limit %d: at least one", f.limit))
			}
			return run(cmd, args)
		}
	}
}

func findingsCommand(s streams) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:     "findings --config FILE [--all] [--json]",
		GroupID: "operate",
		Short:   "List what dropleak believes is wrong",
		Long: `Findings lists what is open, acknowledged, muted or in hand; with --all what was
resolved, dismissed or is gone too. What is silent has a line below that says
since when and what to do, in the time zone of the terminal. With --json a
finding about a source has "unwatched": how many workers and droplets nobody else
tells of, whether the source "answers" though it tells nothing new, was "removed",
or "never" answered; one about what of a droplet went missing together has
"missing": its workers, those that are back, whether its memory is missing too, and
whether DigitalOcean says that it is off. Without a further word it reads the store and changes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), s, f.config, func(st *store.Store) error {
				found, err := st.Findings(cmd.Context(), finding.Filter{Live: !f.all, Limit: f.limit})
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(s, findingsJSON(found))
				}
				return printFindings(s, found, time.Now())
			})
		},
	}
	f.add(cmd, "those that are over too")
	cmd.AddCommand(findingsMute(s), findingsUnmute(s), findingsDismiss(s), findingsOffer(s))
	return cmd
}

// findingJSON is a finding in dropleak findings --json. Bytes and seconds.
type findingJSON struct {
	ID        string           `json:"id"`
	Kind      finding.Kind     `json:"kind"`
	State     finding.State    `json:"state"`
	Severity  finding.Severity `json:"severity"`
	DropletID string           `json:"droplet_id"`
	Droplet   string           `json:"droplet"`
	Worker    string           `json:"worker"`
	Source    string           `json:"source"`    // that is silent, or that told last of what is
	Unwatched *unwatchedJSON   `json:"unwatched"` // of a source that is silent, or was
	Missing   *missingJSON     `json:"missing"`   // of a droplet
	Verdict   detector.Kind    `json:"verdict"`
	Reason    detector.Reason  `json:"reason"`
	Rate      *float64         `json:"rate_bytes_per_hour"`
	RunsOut   *time.Time       `json:"runs_out"`
	OOMKills  int              `json:"oom_kills"`
	Evidence  []string         `json:"evidence"`
	Tasks     []taskResult     `json:"tasks"`
	Summary   string           `json:"summary"`
	Opened    time.Time        `json:"opened"`
	LastSeen  time.Time        `json:"last_seen"`
	Closed    *time.Time       `json:"closed"`
	By        string           `json:"by"`
	Why       string           `json:"why"`
	Run       string           `json:"run"`
}

// unwatchedJSON is what nobody else tells of while a source is silent, and how
// the source stands.
type unwatchedJSON struct {
	Workers  int  `json:"workers"`
	Droplets int  `json:"droplets"`
	Answers  bool `json:"answers"` // though it tells nothing new
	Removed  bool `json:"removed"` // from the configuration, or its token was revoked
	Never    bool `json:"never"`   // answered: what it would tell of nobody knows
}

func unwatched(o *finding.Outage) *unwatchedJSON {
	if o == nil {
		return nil
	}
	return &unwatchedJSON{o.Workers, o.Droplets, o.Answers, o.Removed, o.Never}
}

// missingJSON is what of a droplet went missing together.
type missingJSON struct {
	Workers []string `json:"workers"`
	Back    []string `json:"back"`   // that were among them and are heard of again
	Memory  bool     `json:"memory"` // the droplet's own is missing, too
	Off     bool     `json:"off"`    // by DigitalOcean's word
}

func missing(m *finding.Missing) *missingJSON {
	if m == nil {
		return nil
	}
	return &missingJSON{append([]string{}, m.Workers...), append([]string{}, m.Back...), m.Memory, m.Off}
}

func findingsJSON(found []finding.Finding) []findingJSON {
	out := []findingJSON{}
	for _, f := range found {
		j := findingJSON{ID: f.ID, Kind: f.Subject.Kind, State: f.State, Severity: f.Severity,
			DropletID: f.Subject.DropletID, Droplet: f.Subject.DropletName, Worker: f.Subject.Worker,
			Source: cmp.Or(f.Subject.Source, f.Source), Unwatched: unwatched(f.Outage), Missing: missing(f.Missing), Verdict: f.Verdict.Kind, Reason: f.Verdict.Reason, OOMKills: f.OOMKills,
			Evidence: append([]string{}, f.Verdict.Evidence...), Tasks: taskResults(f.Verdict), Summary: f.Summary,
			Opened: f.Opened, LastSeen: f.LastSeen, Closed: given(f.Closed), By: f.By, Why: f.Why, Run: f.RunID}
		if f.Verdict.Rate != nil {
			j.Rate = &f.Verdict.Rate.Value
		}
		if f.Verdict.Exhaustion != nil {
			j.RunsOut = given(f.Verdict.Exhaustion.Expected)
		}
		out = append(out, j)
	}
	return out
}

// given is a time, or nil for none.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func printFindings(s streams, found []finding.Finding, at time.Time) error {
	if len(found) == 0 {
		fmt.Fprintln(s.talk, "no findings")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SEVERITY\tKIND\tSTATE\tDROPLET\tWORKER\tRATE\tLEFT\tOPENED\tID")
	for _, f := range found {
		left := "-"
		if d, ok := finding.Left(f.Verdict.Exhaustion, at); ok {
			left = report.Duration(d)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s ago\t%s\n", f.Severity, f.Subject.Kind, f.State, printable(whereOf(f.Subject)),
			dash(printable(f.Subject.Worker)), rateText(f.Verdict.Rate), left, report.Duration(at.Sub(f.Opened)), f.ID)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range found {
		if f.Subject.Kind.OfSilence() && !f.State.Final() {
			fmt.Fprintf(s.out, "%s: %s\n", f.ID, printable(report.Summary(f, time.Local)))
		}
	}
	return nil
}

// whereOf is the droplet of a finding, or the source that it is about.
func whereOf(s finding.Subject) string {
	if s.Kind == finding.KindSource {
		return s.Title()
	}
	return cmp.Or(s.DropletName, s.DropletID)
}

// dash stands for nothing in a table.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
