package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/dropleak/dropleak/bot/agent"
	"github.com/dropleak/dropleak/detector/sample"
)

// printOnce shows one pass: a table for people, or the series as they would
// be sent, one JSON object a line.
func printOnce(s settings, at time.Time, stdout, stderr io.Writer) error {
	pass, notes, err := agent.Once(s.opts, at.Truncate(time.Millisecond).UTC())
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintf(stderr, "note: %s\n", n)
	}
	if s.once == "json" {
		return printJSON(pass, stdout)
	}
	return printTable(pass, stdout)
}

func printJSON(pass sample.Pass, w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, s := range sample.Encode(pass) {
		labels := map[string]string{}
		for _, l := range s.Labels {
			labels[l.Name] = l.Value
		}
		line := struct {
			Labels map[string]string `json:"labels"`
			Time   int64             `json:"time_ms"`
			Value  float64           `json:"value"`
		}{labels, s.Points[0].At, s.Points[0].V}
		if err := enc.Encode(line); err != nil {
			return fmt.Errorf("print pass: %w", err)
		}
	}
	return nil
}

func printTable(pass sample.Pass, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "WORKER\tPOOL\tAPP\tMANAGER\tUNIT\tLIMIT")
	for _, k := range pass.Workers {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Worker, dash(k.Pool), dash(k.App), k.Manager, dash(k.Unit), mib(k.Limit))
	}
	fmt.Fprintln(t, "\nWORKER\tSLOT\tROLE\tPID\tRSS\tPSS\tUSS\tSWAP")
	for _, p := range pass.Processes {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", p.Worker, p.Slot, p.Role, p.PID, mib(p.RSS), mib(p.PSS), mib(p.USS), mib(p.Swap))
	}
	fmt.Fprintln(t, "\nOTHERS BY NAME\tRSS+SWAP")
	for _, o := range pass.Others {
		fmt.Fprintf(t, "%s\t%s\n", o.Name, mib(o.Memory))
	}
	if d := pass.Droplet; d != nil {
		fmt.Fprintf(t, "\nDROPLET\tAVAILABLE\tTOTAL\tSHMEM\tSLAB\tSWAP USED\n%s\t%s\t%s\t%s\t%s\t%s\n", d.Droplet, mib(d.Available), mib(d.Total),
			mib(d.Shmem), mib(d.Slab), mib(d.SwapUsed))
	}
	if len(pass.Workers) == 0 {
		fmt.Fprintln(t, "\nno Celery worker runs here")
	}
	return t.Flush()
}

func mib(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", v/(1<<20))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
