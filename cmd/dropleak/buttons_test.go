package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/finding"
)

// asCommands says, for each button and menu entry in Slack, with which command
// and flag the same is done; what only shows is told by one that lists.
var asCommands = map[string]string{
	"ActionRestart": "approve", "ActionSkip": "approve --skip-snapshot", "ActionQuiet": "approve --quiet-window", "ActionCancel": "approve --cancel",
	"ActionKeep": "approve --keep-snapshot", "ActionDelete": "approve --delete-snapshot",
	"ActionLease": "approve --keep-alive-until", "ActionRevoke": "approve --revoke-lease",
	"ActionNotNow": "findings mute --for", "ActionUntil": "findings mute --for", "ActionUntilWorse": "findings mute --until-worse",
	"ActionUnmute": "findings unmute", "ActionFalseAlarm": "findings dismiss", "ActionAskAgain": "findings offer", "ActionOffer": "findings offer",
	"ActionRollout": "approve", "ActionRollCancel": "approve --cancel", "ActionRollNotNow": "approve --not-now", "ActionRollFalse": "approve --false-alarm",
	"ActionRollAsk": "findings offer", "ActionDetails": "findings --json", "ActionReview": "runs --json", "ActionWorker": "findings --json",
	"ActionRestore": "runs --json",        // names the snapshot; docs/operations.md says how to put one back
	"ActionChoice":  "", "ActionMore": "", // carry on with a command, open a menu: they decide nothing
}

// TestEveryButtonIsACommand: everything a button does is there without Slack.
func TestEveryButtonIsACommand(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../bot/report/action.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	actions := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		actions++
		words, known := asCommands[spec.Names[0].Name]
		if !known {
			t.Errorf("%s has no command", spec.Names[0].Name)
		}
		if words != "" {
			isCommand(t, strings.Fields(words))
		}
		return true
	})
	if actions != len(asCommands) {
		t.Errorf("%d actions, %d in the table", actions, len(asCommands))
	}
}

// isCommand looks for a command and a flag of it.
func isCommand(t *testing.T, words []string) {
	t.Helper()
	flag := ""
	if last := words[len(words)-1]; strings.HasPrefix(last, "--") {
		words, flag = words[:len(words)-1], strings.TrimPrefix(last, "--")
	}
	var cmd *cobra.Command
	cmd, rest, err := root(streams{}).Find(words)
	if err != nil || len(rest) > 0 || flag != "" && cmd.Flags().Lookup(flag) == nil {
		t.Errorf("there is no dropleak %s --%s: %v", strings.Join(words, " "), flag, err)
	}
}

// An ask on the command line is one in Slack: of a member, written down, and
// the question stands in the channel for an approver.
func TestFindingsOffer(t *testing.T) {
	for answer, args := range map[string][]string{"--not-now": nil, "--cancel": {"--snapshot-only", "--reason", "before profiling"}} {
		o := newOffice(t, "approvals: {approvers: [U0ANNA]}\n")
		f := finding.Finding{ID: "f1", State: finding.Open, Severity: finding.High, Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "4711", DropletName: "web-1", Worker: "mail"}}
		if err := o.store.OpenFinding(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		o.do(1, append([]string{"findings", "offer", "--as", "U0GUS", "--yes", "f1"}, args...)...)
		o.do(1, append([]string{"findings", "offer", "--as", "U0CARLA", "--yes", "f2"}, args...)...)
		o.hears("no finding f2")
		o.do(0, append([]string{"findings", "offer", "--as", "U0CARLA", "--yes", "f1"}, args...)...)
		all, err := o.store.AuditEntries(t.Context(), audit.Filter{})
		i := slices.IndexFunc(all, func(e audit.Entry) bool { return e.What == "ask" })
		if err != nil || i < 0 {
			t.Fatalf("nothing of the ask is written down: %+v, %v", all, err)
		}
		o.wantVia("ask", all[i], "U0CARLA", "mail on web-1")
		run, rest, _ := strings.Cut(o.printed, " ")
		if rest != "waits for an approval.\n" {
			t.Errorf("printed %q", o.printed)
		}
		o.do(1, "approve", "--as", "U0GUS", "--yes", answer, run)
		o.do(0, "approve", "--as", inOffice, "--yes", answer, run)
		o.nothingToAsk(args)
	}
}

// nothingToAsk: of a finding that is over nobody can ask, and no ask is written
// down.
func (o *office) nothingToAsk(args []string) {
	o.t.Helper()
	asks := func() (n int) {
		all, err := o.store.AuditEntries(o.t.Context(), audit.Filter{})
		if err != nil {
			o.t.Fatal(err)
		}
		for _, e := range all {
			if e.What == "ask" {
				n++
			}
		}
		return n
	}
	_, err := finding.Change(o.t.Context(), o.store, "f1", func(f *finding.Finding) error { return f.Dismiss(inOffice, "a load test", time.Now()) })
	if err != nil {
		o.t.Fatal(err)
	}
	before := asks()
	o.do(1, append([]string{"findings", "offer", "--as", "U0CARLA", "--yes", "f1"}, args...)...)
	o.hears("Finding f1 is dismissed: there is nothing to ask for.")
	if n := asks(); n != before {
		o.t.Errorf("%d asks are written down, %d before", n, before)
	}
}
