package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/workflow"
)

func approveCommand(s streams) *cobra.Command {
	var a actFlags
	var reason string
	var lease leaseFlags
	chosen := map[remedy.Kind]*bool{}
	cmd := &cobra.Command{
		Use:     "approve --config FILE --as SLACK_USER RUN",
		GroupID: "operate",
		Short:   "Decide on a run as its buttons in Slack do",
		Long: `Approve lets a run go, or with a flag decides otherwise. RUN is an id that
"dropleak runs" prints. It goes through the same gate as a click: the Slack user
given with --as must be an approver, which Slack is asked; the worker must be
what was proposed, which its agent is asked; a run that was decided or expired
is refused. It counts as that person. The audit log says that it came from the
command line, by which operating-system user on which host, and so does the
message in Slack.

It needs the service's environment, for its tokens, and the same configuration:
an approval is bound to it. The service that runs, or the next one, carries the
decision out and updates the message.

Exit status: 0 the decision was taken, 1 it was refused or could not be made,
2 wrong usage or configuration.`,
		Example: `  dropleak approve --config /etc/dropleak/dropleak.yaml --as U0123456789 k3x7q2
  dropleak approve --as U0123456789 --skip-snapshot --reason "backup of 02:00" k3x7q2
  dropleak approve --as U0123456789 --keep-alive-until 08:00 --below 30m --times 3 k3x7q2`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d := remedy.Decision{By: a.as, Kind: remedy.Approve, Reason: reason, Via: via()}
			n := 0
			for kind, on := range chosen {
				if *on {
					d.Kind = kind
					n++
				}
			}
			if d.Kind == remedy.NotNow {
				d.Until = time.Now().Add(4 * time.Hour)
			}
			terms, err := lease.terms(time.Now())
			if terms != nil {
				d.Kind, d.Terms = remedy.Grant, terms
				n++
			}
			switch {
			case err != nil:
				return usage(err)
			case n > 1:
				return usage(errors.New("give one decision, not several"))
			case d.Kind == remedy.Skip && strings.TrimSpace(reason) == "":
				return usage(errors.New("--skip-snapshot needs a --reason"))
			}
			return withService(cmd.Context(), s, a.config, func(b *bot.Service) error { return approve(cmd.Context(), s, b, a, args[0], d) })
		},
	}
	a.add(cmd)
	for _, f := range []struct {
		kind       remedy.Kind
		name, help string
	}{
		{remedy.Skip, "skip-snapshot", "restart without a snapshot; needs --reason"},
		{remedy.Later, "quiet-window", "approve for the next quiet window"},
		{remedy.NotNow, "not-now", "answer \"not now\": nothing is restarted, and nobody is asked again for four hours; of a rolling restart, about all of its workers"},
		{remedy.FalseAlarm, "false-alarm", "answer \"false alarm\": nothing is restarted, and the finding ends; of a rolling restart, all of them"},
		{remedy.Cancel, "cancel", "stop it; until the restart order is sent"},
		{remedy.KeepSnapshot, "keep-snapshot", "of an ended run: its snapshot stays until somebody deletes it"},
		{remedy.DeleteSnapshot, "delete-snapshot", "of an ended run: delete its snapshot now"},
		{remedy.Revoke, "revoke-lease", "end the lease that RUN granted or belongs to"},
	} {
		chosen[f.kind] = cmd.Flags().Bool(f.name, false, f.help)
	}
	lease.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` for the audit log and the message")
	return cmd
}

// approve says what the decision means, asks, and takes it to the gate.
func approve(ctx context.Context, s streams, b *bot.Service, a actFlags, run string, d remedy.Decision) error {
	if remedy.IsRollout(run) {
		return approveRollout(ctx, s, b, a, run, d)
	}
	v, err := b.RunView(ctx, run)
	if err == nil && !hopeless(ctx, b, run, d) {
		err = a.confirm(ctx, s, consequence(v, d, time.Now()))
	}
	if err != nil && !errors.Is(err, workflow.ErrNotFound) { // the gate says that one, and writes it down
		return err
	}
	if d.Kind == remedy.Revoke && v.Lease != nil {
		run = v.Lease.ID
	}
	answer, err := b.Decide(ctx, run, d)
	if err != nil {
		return err
	}
	return told(s, a.json, answer)
}

// hopeless reports whether the gate would refuse a decision, so that nobody
// need be asked to confirm it: the gate says why, and writes it down. What cannot
// be told just now may be told a moment later, and is asked about.
func hopeless(ctx context.Context, b *bot.Service, run string, d remedy.Decision) bool {
	switch d.Kind {
	case remedy.KeepSnapshot, remedy.DeleteSnapshot, remedy.Revoke: // of what has ended
		return false
	}
	var no *remedy.Refusal
	return errors.As(b.MayDecide(ctx, run, d), &no) && no.Code != remedy.CannotTell
}

// decisionJSON is what dropleak approve --json and findings mute --json print.
type decisionJSON struct {
	Accepted bool        `json:"accepted"`
	Code     remedy.Code `json:"code"` // why not; empty with accepted
	Words    string      `json:"words"`
	By       string      `json:"by"`  // who was first, where somebody was
	Run      *runJSON    `json:"run"` // as it stands now; null for none
}

// told prints the gate's answer. A refusal exits with 1.
func told(s streams, asJSON bool, a remedy.Answer) error {
	j := decisionJSON{Accepted: a.Accepted, Words: a.Words}
	if a.Refusal != nil {
		j.Code, j.By = a.Refusal.Code, a.Refusal.By
	}
	if a.View.Run != "" {
		j.Run = &runsJSON([]remedy.View{a.View})[0]
	}
	if asJSON {
		if err := printJSON(s, j); err != nil {
			return err
		}
	} else if a.Accepted && a.Words != "" {
		fmt.Fprintln(s.out, printable(report.Told(a.Words, time.Local)))
	}
	if a.Accepted {
		return nil
	}
	words := a.Words
	if j.By != "" {
		words += " It was " + j.By + "."
	}
	return exitError{code: 1, err: errors.New(printable(report.Told(words, time.Local)))}
}

// consequence says in plain lines what a decision would do.
func consequence(v remedy.View, d remedy.Decision, now time.Time) string {
	lines := []string{v.Title() + ", asked " + report.Duration(now.Sub(v.Asked)) + " ago"}
	switch d.Kind {
	case remedy.Grant, remedy.Revoke:
		lines = append(lines, leaseWords(v, d)...)
	case remedy.Cancel:
		lines = append(lines, "Nothing is restarted.")
	case remedy.NotNow:
		lines = append(lines, "Nothing is restarted, and nobody is asked again for four hours.")
	case remedy.FalseAlarm:
		lines = append(lines, "It is called a false alarm, and ends. Nothing is restarted.")
	case remedy.KeepSnapshot:
		lines = append(lines, "Its snapshot stays, and costs, until somebody deletes it.")
	case remedy.DeleteSnapshot:
		lines = append(lines, "Its snapshot "+v.SnapshotName+" is deleted. That cannot be undone.")
	default:
		if v.Only {
			lines = append(lines, "Nothing is restarted.")
		} else {
			lines = append(lines, restarts(v)...)
		}
		lines = append(lines, snapshotFirst(v, d), fmt.Sprintf("Approvals: %d of %d so far; this is one of %s.", v.Have, v.Need, d.By))
	}
	return strings.Join(lines, "\n")
}

// restarts says what would be restarted and what running tasks would get.
func restarts(v remedy.View) []string {
	if v.Plan.Way.WholeDroplet() {
		return []string{"Restarts the whole droplet, with everything on it. Running tasks are cut off."}
	}
	line := fmt.Sprintf("Restarts %s through %s", v.Plan.Unit.Name, v.Plan.Way)
	if len(v.Facts.Workers) > 1 {
		line += fmt.Sprintf(", with %d workers in it: %s", len(v.Facts.Workers), strings.Join(v.Facts.Workers, ", "))
	}
	tasks := "Running tasks are stopped as their manager stops them; how long it waits is not known."
	switch t := v.Facts.StopTimeout; {
	case t > 0:
		tasks = "Running tasks get " + report.Duration(time.Duration(t*float64(time.Second))) + " to finish, then are killed."
	case t == 0:
		tasks = "Running tasks may finish; the manager waits for ever."
	}
	return []string{line + ".", tasks}
}

func snapshotFirst(v remedy.View, d remedy.Decision) string {
	first := " first"
	if v.Only {
		first = ""
	}
	switch e := v.Card.Snapshot; {
	case d.Kind == remedy.Skip:
		return "WITHOUT A SNAPSHOT: there is no way back to the disk as it is now."
	case v.Rehearsal:
		return "This is a rehearsal: nothing is carried out."
	case e.Takes > 0:
		return "Takes a snapshot of the droplet" + first + ", about " + report.Duration(e.Takes) + "."
	}
	return "Takes a snapshot of the droplet" + first + "; how long that takes is not known."
}

// confirm shows what will be done and waits for a yes.
func (a actFlags) confirm(ctx context.Context, s streams, what string) error {
	if a.yes {
		return nil
	}
	fmt.Fprintf(s.talk, "%s\nType yes to go on: ", printableLines(what))
	return interruptible(ctx, func() error {
		line, err := bufio.NewReader(s.in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the answer: %w", err)
		}
		if strings.TrimSpace(line) != "yes" {
			return exitError{code: 1, err: errors.New("not confirmed, so nothing was done")}
		}
		return nil
	})
}

// printableLines is printable of each line.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = printable(l)
	}
	return strings.Join(lines, "\n")
}

// approveRollout is approve for a rolling restart: what is shown here is what
// is approved.
func approveRollout(ctx context.Context, s streams, b *bot.Service, a actFlags, id string, d remedy.Decision) error {
	v, err := b.Rollout(ctx, id)
	if err == nil {
		d.Set = v.Set
		err = a.confirm(ctx, s, rolloutConsequence(v, d))
	}
	if err != nil && !errors.Is(err, workflow.ErrNotFound) { // the gate says that one, and writes it down
		return err
	}
	answer, err := b.Decide(ctx, id, d)
	if err != nil {
		return err
	}
	return told(s, a.json, answer)
}

// rolloutConsequence says in plain lines what a decision about a rolling
// restart would do.
func rolloutConsequence(v remedy.RolloutView, d remedy.Decision) string {
	if d.Kind == remedy.NotNow || d.Kind == remedy.FalseAlarm {
		return fmt.Sprintf("Rolling restart %s of %d workers\nNothing is restarted; it is the answer for all of them.", v.ID, len(v.Turns))
	}
	if d.Kind == remedy.Cancel {
		return "Rolling restart " + v.ID + "\nNothing more is restarted."
	}
	lines := []string{fmt.Sprintf("Rolling restart of %d workers, one at a time, each after a snapshot of its droplet; it halts at the first that does not come back well:", len(v.Turns))}
	for _, t := range v.Turns {
		if t.Refused != "" {
			lines = append(lines, "  left out: "+report.Told(t.Refused, time.Local))
			continue
		}
		lines = append(lines, fmt.Sprintf("  %s: %s through %s", t.Plan.Title(), t.Plan.Unit.Name, t.Plan.Way))
	}
	lines = append(lines, fmt.Sprintf("Approvals: %d of %d so far; this is one of %s.", v.Have, v.Need, d.By))
	return strings.Join(lines, "\n")
}
