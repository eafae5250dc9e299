package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/workflow"
)

func runsCommand(s streams) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:     "runs --config FILE [--all] [--json]",
		GroupID: "operate",
		Short:   "List runs: what is asked, under way, and how it ended",
		Long: `Runs lists the runs that have not ended; with --all those that have, too, newest
first. It reads the store and changes nothing: a run is approved in Slack, or by
"dropleak approve".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), s, f.config, func(st *store.Store) error {
				views, err := remedy.New(remedy.Deps{Store: st}, remedy.Config{}).Views(cmd.Context(), workflow.Filter{Live: !f.all, Limit: f.limit})
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(s, runsJSON(views))
				}
				return printRuns(s, views, time.Now())
			})
		},
	}
	f.add(cmd, "ended ones too")
	return cmd
}

// runJSON is a run in dropleak runs --json. Bytes; empty: not yet, or nobody.
type runJSON struct {
	Run       string         `json:"run"`
	Finding   string         `json:"finding"`
	DropletID int64          `json:"droplet_id"`
	Droplet   string         `json:"droplet"`
	Worker    string         `json:"worker"`
	Way       string         `json:"way"`
	Rehearsal bool           `json:"rehearsal"`
	Step      string         `json:"step"`
	Outcome   remedy.Outcome `json:"outcome"`
	Why       string         `json:"why"`
	State     string         `json:"state"`
	Trouble   string         `json:"trouble"`
	AskedBy   string         `json:"asked_by"`
	Asked     time.Time      `json:"asked"`
	Ended     *time.Time     `json:"ended"`
	Votes     []remedy.Vote  `json:"votes"`
	Snapshot  string         `json:"snapshot"`
	OldPID    int            `json:"old_pid"`
	NewPID    int            `json:"new_pid"`
	Before    float64        `json:"before_bytes"`
	After     *float64       `json:"after_bytes"`
	Freed     *float64       `json:"freed_bytes"` // before less after
	FreedLow  *float64       `json:"freed_low"`   // its 90 % interval
	FreedHigh *float64       `json:"freed_high"`
}

func runsJSON(views []remedy.View) []runJSON {
	out := []runJSON{}
	for _, v := range views {
		j := runJSON{Run: v.Run, Finding: v.Finding, DropletID: v.Plan.DropletID, Droplet: v.Plan.Droplet, Worker: v.Plan.Worker,
			Way: string(v.Plan.Way), Rehearsal: v.Rehearsal, Step: v.Step, Outcome: v.Outcome, Why: v.Why, State: v.State, Trouble: v.Trouble,
			AskedBy: v.AskedBy, Asked: v.Asked, Ended: given(v.Ended), Votes: append([]remedy.Vote{}, v.Votes...),
			OldPID: v.Old.PID, NewPID: v.New.PID, Before: v.Before.Bytes}
		if v.Snapshot != nil {
			j.Snapshot = v.Snapshot.Name
		}
		if v.Life != nil && v.Life.Now.Bytes > 0 {
			j.After = &v.Life.Now.Bytes
		}
		if freed, sure := v.FreedBetween(); freed.Value != 0 {
			j.Freed = &freed.Value
			if sure {
				j.FreedLow, j.FreedHigh = &freed.Low, &freed.High
			}
		}
		out = append(out, j)
	}
	return out
}

// wayOf is how a run restarts its worker, or that it does not.
func wayOf(v remedy.View) string {
	if v.Only {
		return "snapshot only"
	}
	return string(v.Plan.Way)
}

func printRuns(s streams, views []remedy.View, at time.Time) error {
	if len(views) == 0 {
		fmt.Fprintln(s.talk, "no runs")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ASKED\tDROPLET\tWORKER\tWAY\tSTANDS AT\tWHY\tRUN")
	for _, v := range views {
		stands := v.Step
		if v.Outcome != "" {
			stands = v.Outcome.Words()
		}
		fmt.Fprintf(w, "%s ago\t%s\t%s\t%s\t%s\t%s\t%s\n", report.Duration(at.Sub(v.Asked)), printable(v.Plan.Droplet), dash(printable(v.Plan.Worker)),
			wayOf(v), stands, dash(printable(report.Told(v.Why, time.Local))), v.Run)
	}
	return w.Flush()
}
