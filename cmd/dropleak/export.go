package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/formats"
	"github.com/dropleak/dropleak/detector/sample"
)

// errNothing says that an export has no rows: a mistyped name must not look
// like a worker without history.
var errNothing = errors.New("history holds nothing that fits")

func exportCommand(s streams) *cobra.Command {
	var path, worker, from, to string
	var droplet int64
	cmd := &cobra.Command{
		Use:     "export --config FILE [--droplet ID] [--worker NAME] [--from TIME] [--to TIME]",
		GroupID: "operate",
		Short:   "Write history as the CSV that scan and import read",
		Long: `Export writes the samples of workers as CSV on standard output: one row a
process and reading, in bytes and seconds since 1970. Where several sources
speak of one worker, it writes the one with the most samples. Where the probe
counted the tasks that a worker holds until their time (ETA, countdown), a row
for each count follows, in the column held; scan reads it, import does not.

Exit status: 0 written, 1 nothing fits or trouble, 2 wrong usage.`,
		Example: `  dropleak export --config dropleak.yaml --worker mail@web1 | dropleak scan -
  dropleak export --config dropleak.yaml --droplet 4711 --from 2026-11-01T00:00:00Z >web1.csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := history.Query{Worker: worker, To: time.UnixMilli(math.MaxInt64 / 4)}
			if droplet > 0 {
				q.DropletIDs = []string{strconv.FormatInt(droplet, 10)}
			}
			if err := errors.Join(readMoment("from", from, &q.From), readMoment("to", to, &q.To)); err != nil {
				return usage(err)
			}
			if !q.From.Before(q.To) {
				return misused(cmd, fmt.Errorf("--from %s is not before --to %s", from, to))
			}
			return withStore(cmd.Context(), s, path, func(st *store.Store) error { return export(cmd.Context(), s, st, q) })
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().Int64Var(&droplet, "droplet", 0, "only the droplet with this `ID`")
	cmd.Flags().StringVar(&worker, "worker", "", "only the worker with this `NAME`")
	cmd.Flags().StringVar(&from, "from", "", "begin at `TIME`: RFC 3339 or seconds since 1970")
	cmd.Flags().StringVar(&to, "to", "", "end at `TIME`")
	return cmd
}

// readMoment reads a flag with a time; an empty one leaves what is there.
func readMoment(flag, text string, into *time.Time) error {
	if text == "" {
		return nil
	}
	at, err := formats.ParseTime(text)
	if err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	*into = at
	return nil
}

func export(ctx context.Context, s streams, st *store.Store, q history.Query) error {
	h := history.New(st, history.Options{})
	workers, err := h.Workers(ctx, q)
	if err != nil {
		return err
	}
	if len(workers) == 0 {
		return nothing(ctx, h, q)
	}
	var rows []sample.Process
	var held []formats.Held
	for _, w := range workers {
		rows = append(rows, rowsOf(w)...)
		counts, err := h.OnHand(ctx, w.Droplet, w.Name, q.From, q.To)
		if err != nil {
			return err
		}
		for _, c := range counts {
			held = append(held, formats.Held{At: c.At, Droplet: c.Droplet, Worker: c.Worker, Tasks: c.ETA})
		}
	}
	return formats.WriteCSV(s.out, rows, held)
}

// nothing says which workers there are where the one that was named is not.
func nothing(ctx context.Context, h *history.History, q history.Query) error {
	named := q.Worker
	q.Worker = ""
	others, err := h.Workers(ctx, q)
	if named == "" || err != nil || len(others) == 0 {
		return errors.Join(errNothing, err)
	}
	var names []string
	for _, w := range others {
		if !slices.Contains(names, w.Name) {
			names = append(names, w.Name)
		}
	}
	slices.Sort(names)
	some := ""
	if most := 20; len(names) > most {
		names, some = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
	}
	return fmt.Errorf("%w: no worker %s; there are %s%s", errNothing, printable(named), printable(strings.Join(names, ", ")), some)
}

// rowsOf are a worker's readings as they were written into history.
func rowsOf(w detector.Worker) (rows []sample.Process) {
	for _, l := range w.Lives {
		for _, r := range l.Samples {
			rows = append(rows, sample.Process{At: r.At, Droplet: w.Droplet, Worker: w.Name, Slot: l.Slot, Role: string(l.Role),
				PID: l.PID, Start: l.Start, RSS: r.RSS, PSS: r.PSS, USS: r.USS, Swap: r.Swap, CPU: r.CPU})
		}
	}
	return rows
}
