package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/watch"
)

// askWithin is the time of an agent for its answer.
const askWithin = 24 * time.Second

func probeAsk(s streams) *cobra.Command {
	var config string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ask --config FILE [DROPLET_ID/]WORKER",
		Short: "Ask a worker what grew inside it since it was asked before",
		Long: `Ask has the agent ask the probe in that process of a worker which holds most. It
forks between two tasks, counts objects by type and the like, and tells what
grew since it was asked before: ask twice. Types, counts and places in the
source are told, never values. Nothing is restarted. The service must run.

Exit status: 0 there is an answer, 1 there is none, 2 wrong usage.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), s, config, func(st *store.Store) error {
				h, err := askHeap(cmd.Context(), st, args[0])
				switch {
				case err != nil:
					return err
				case asJSON:
					return printJSON(s, h)
				}
				return printHeap(s, h)
			})
		},
	}
	configFlag(cmd, &config)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// askHeap places the order that a run's evidence is gathered by, under an id
// of its own.
func askHeap(ctx context.Context, st *store.Store, name string) (*order.Heap, error) {
	droplet, worker, err := heard(ctx, st, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	until, _ := ctx.Deadline()
	o := order.Order{Run: "ask-" + watch.NewID(), Kind: order.Evidence, Droplet: droplet, Worker: worker, NotAfter: until.Add(-time.Second)}
	h := hub.New(st, nil, hub.Options{})
	if err := h.Place(ctx, o); err != nil {
		return nil, err
	}
	r, err := h.Wait(ctx, o.Run, o.Kind)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("the agent of droplet %s did not answer within %s", droplet, askWithin)
	case err != nil:
		return nil, err
	case r.Evidence == nil:
		return nil, fmt.Errorf("ask %s: %s", worker, printable(r.Error))
	case r.Evidence.Heap == nil:
		return nil, fmt.Errorf("no process of %s reports its tasks to the agent: see dropleak probe print", printable(worker))
	}
	return r.Evidence.Heap, nil
}

// heard finds the one worker of a name that agents speak of.
func heard(ctx context.Context, st *store.Store, name string) (droplet, worker string, err error) {
	all, err := st.Presences(ctx)
	if err != nil {
		return "", "", err
	}
	var found [][2]string
	for _, p := range all {
		if p.Source == "" && p.Worker != "" && (p.Worker == name || p.DropletID+"/"+p.Worker == name) {
			found = append(found, [2]string{p.DropletID, p.Worker})
		}
	}
	slices.SortFunc(found, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	switch found = slices.Compact(found); len(found) {
	case 0:
		return "", "", usage(fmt.Errorf("no agent has spoken of a worker %q", name))
	case 1:
		return found[0][0], found[0][1], nil
	}
	return "", "", usage(fmt.Errorf("%d droplets have a worker %q: name one as %s/%s", len(found), name, found[0][0], name))
}

func printHeap(s streams, h *order.Heap) error {
	if h.Refused != "" {
		return exitError{code: 1, err: fmt.Errorf("pid %d was not looked at: %s", h.PID, printable(h.Refused))}
	}
	if h.Since.IsZero() {
		fmt.Fprintf(s.talk, "note: pid %d was not looked at before, so nothing is known of growth; ask again\n", h.PID)
	} else {
		fmt.Fprintf(s.talk, "note: growth of pid %d since %s\n", h.PID, h.Since.Local().Format(time.DateTime))
	}
	for _, p := range h.Parts {
		switch {
		case p.First:
			fmt.Fprintf(s.talk, "note: %s was not counted before, so nothing is known of its growth; ask again\n", printable(p.Name))
		case !p.Since.IsZero():
			fmt.Fprintf(s.talk, "note: growth of %s since %s\n", printable(p.Name), p.Since.Local().Format(time.DateTime))
		}
	}
	for _, n := range h.Notes {
		fmt.Fprintf(s.talk, "note: %s\n", printable(n))
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LIST\tGROWN\tNOW\tWHAT")
	for _, p := range h.Parts {
		for _, r := range p.Rows {
			grown := fmt.Sprintf("%+.0f", r.Grown)
			if p.First || h.Since.IsZero() {
				grown = "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%.0f\t%s\n", printable(p.Name), grown, r.Count, printable(r.What))
		}
	}
	return w.Flush()
}
