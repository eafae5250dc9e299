package slackapp

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The bodies in testdata have the shape of the examples in Slack's reference:
// every field those show, also the many we do not read.
func TestPublishedExamples(t *testing.T) {
	anna := Who{Team: "T9TK3CUKW", User: "UA8RXUSPL", UserName: "jtorrance"}
	for file, want := range map[string]Envelope{
		"block_actions.json": {ID: "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3", Click: &Click{Who: anna,
			Channel: "CBR2V3XEX", MessageTS: "1548261231.000200", ActionID: "WaXA", BlockID: "=qXel", Value: "click_me_123",
			ResponseURL: "https://hooks.slack.com/actions/AABA1ABCD/1232321423432/D09sSasdasdAS9091209",
			TriggerID:   "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3",
			State:       State{"why": {"note": {"typed"}, "pick": nil}}}},
		"view_submission.json": {ID: "1.2.view", Submission: &Submission{Who: Who{Team: "T9TK3CUKW", User: "UA8RXUSPL", UserName: "jtorrance"},
			ViewID: "VNHU13V36", ViewHash: "156663117.cd33ad1f", CallbackID: "modal-with-inputs", Metadata: "shhh-its-secret", TriggerID: "1.2.view",
			State: State{"multiline": {"ml-value": {"This is my example inputted value"}}, "target": {"who": {"U1", "U2"}}, "level": {"box": {"a", "b"}}}}},
		"app_home_opened.json": {ID: "Ev0PV52K21", HomeOpened: &HomeOpened{Who: Who{Team: "T9TK3CUKW", User: "U061F7AUR"},
			ViewID: "VPASKP233", ViewHash: "1231232323.12321312"}},
		"slash_command.form": {ID: "13345224609.738474920.8088930838d88f008e0", Command: &Command{
			Who:     Who{Team: "T0001", Enterprise: "E0001", User: "U2147483697", UserName: "Steve"},
			Channel: "C2147483705", Command: "/weather", Text: "94070",
			ResponseURL: "https://hooks.slack.com/commands/1234/5678", TriggerID: "13345224609.738474920.8088930838d88f008e0"}},
	} {
		t.Run(file, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			var got Envelope
			switch {
			case strings.HasSuffix(file, ".form"):
				form, perr := url.ParseQuery(strings.TrimSpace(string(b)))
				if perr != nil {
					t.Fatal(perr)
				}
				got, err = parseCommand(form)
			case strings.HasPrefix(file, "app_home"):
				got, _, err = parseEvent(b)
			default:
				got, err = parseInteraction(b)
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A guest through Slack Connect presses a button in our channel: the payload's
// team is ours, the person's is not, and the person's counts.
func TestStrangersTeamIsTheirOwn(t *testing.T) {
	in, err := parseInteraction([]byte(`{"type":"block_actions","trigger_id":"1","team":{"id":"T0OURS"},` +
		`"user":{"id":"U0EVE","team_id":"T0THEIRS"},"actions":[{"action_id":"restart"}]}`))
	if err != nil || in.Click.Team != "T0THEIRS" {
		t.Errorf("%+v, %v", in.Click, err)
	}
}
