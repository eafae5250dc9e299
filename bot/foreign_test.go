package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// The whole bot against a Slack that others wrote: our simulator, which every
// other story runs against, could share a mistake with our client.

const foreignScale = 240 // one second counts as four minutes

// abroad is the assembled service in the foreign workspace, with the
// simulated DigitalOcean and a pretended droplet.
type abroad struct {
	t       *testing.T
	slack   *testbed.LocalSlackServer
	cloud   *dosim.Sim
	service *Service
	droplet *pretend
}

func newAbroad(t *testing.T) *abroad {
	t.Helper()
	a := &abroad{t: t, slack: testbed.LocalSlack(t, "mode: socket"), cloud: dosim.New(dosim.Options{TimeScale: foreignScale,
		Durations: map[string]time.Duration{"snapshot": 20 * time.Minute}}).Kind()}
	a.cloud.AddToken("dop_v1_executor", dosim.ExecutorScopes...)
	a.cloud.AddDroplet(dosim.Droplet{ID: pretendDroplet, Name: "web-1", Tags: []string{"dropleak"}, MemoryMiB: 4096})
	o := doclient.Options{Token: doclient.StaticToken("dop_v1_executor"), Transport: a.cloud.Transport(), Pace: doclient.Pace{PerSecond: 1000, Burst: 1000}, OnlyTag: "dropleak"}
	reader, err := doclient.NewReader(o)
	if err != nil {
		t.Fatal(err)
	}
	executor, err := doclient.NewExecutor(o)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), "sqlite:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	a.service, err = New(t.Context(), Deps{Store: st, Reader: reader, Executor: executor, Channel: "C01OPS", Tag: "dropleak", Owner: "abroad",
		Slack: slackapp.Options{BotToken: "xoxb-test", AppToken: "xapp-test", APIURL: a.slack.URL + "/api/"},
		Scan:  spec(t, "@every 10m"), Approvers: []string{"U01ALICE"}, Expires: 14 * 24 * time.Hour, Scale: foreignScale})
	if err != nil {
		t.Fatal(err)
	}
	a.droplet = newPretend(t, a.service, foreignScale)
	a.start()
	return a
}

func spec(t *testing.T, text string) schedule.Spec {
	t.Helper()
	s, err := schedule.Parse(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs the service and the pretended droplet until the test ends.
func (a *abroad) start() {
	srv := httptest.NewServer(a.service.Handler())
	a.droplet.url = srv.URL
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := a.service.Run(ctx); err != nil {
			a.t.Errorf("the service: %v", err)
		}
	})
	wg.Go(func() { a.droplet.run(ctx) })
	a.t.Cleanup(func() { cancel(); wg.Wait(); srv.Close() })
	a.await("both sockets are open", testbed.Patience, func() error {
		if st := a.service.slack.Status(); st.Sockets != 2 {
			return fmt.Errorf("slack is %+v", st)
		}
		return nil
	})
}

func (a *abroad) await(what string, within time.Duration, ready func() error) {
	a.t.Helper()
	testbed.Eventually(a.t, within, func() error {
		if err := ready(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// message waits for one that says all the words, in text or blocks.
func (a *abroad) message(what string, words ...string) (found testbed.LocalSlackMessage) {
	a.t.Helper()
	a.await(what, testbed.Patience, func() error {
		all := a.slack.Messages("C01OPS")
		for _, m := range slices.Backward(all) {
			if says(a.t, m, words...) {
				found = m
				return nil
			}
		}
		said, err := json.MarshalIndent(all, "", " ")
		return errors.Join(fmt.Errorf("the channel says\n%s", said), err)
	})
	return found
}

func says(t testing.TB, m testbed.LocalSlackMessage, words ...string) bool {
	t.Helper()
	blocks, err := json.Marshal(m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(m.Text + string(blocks))
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

// press clicks a button as it stands in a message.
func (a *abroad) press(user string, m testbed.LocalSlackMessage, action string) {
	a.t.Helper()
	for _, b := range m.Blocks {
		elements, _ := b["elements"].([]any)
		for _, e := range elements {
			if el, _ := e.(map[string]any); el["action_id"] == action {
				a.slack.Control("interact", map[string]any{"channel": "C01OPS", "user": user, "messageTs": m.TS,
					"action": map[string]any{"type": el["type"], "action_id": action, "block_id": b["block_id"], "value": el["value"]}})
				return
			}
		}
	}
	a.t.Fatalf("the message has no button %s: %+v", action, m)
}

// TestForeignSlack: a command is answered; the leak is reported with chart and
// button; a click of somebody who may not is refused; the approver's runs to
// its end, in the same message, with one snapshot and one restart after it.
func TestForeignSlack(t *testing.T) {
	a := newAbroad(t)
	found := a.message("the report stands there", "mail on web-1", "Snapshot & restart", "slack_file", "through supervisor")
	chart := picture(t, found)
	if !strings.Contains(found.Text, "Approve a restart?") {
		t.Errorf("its notification says %q", found.Text)
	}

	a.slack.Control("command", map[string]any{"channel": "C01OPS", "user": "U02BOB", "command": "/leaks", "text": "worker mail"})
	if m := a.message("the command is answered", "leaks memory", "Offer a restart"); m.Ephemeral != "U02BOB" {
		t.Errorf("the answer is for %q: %+v", m.Ephemeral, m)
	}

	a.press("U02BOB", found, report.ActionRestart)
	if m := a.message("the refusal", ":no_entry:"); m.Ephemeral != "U02BOB" {
		t.Errorf("the refusal is for %q: %+v", m.Ephemeral, m)
	}
	if len(a.cloud.Snapshots()) != 0 {
		t.Error("something was done on the word of somebody who may not")
	}

	a.press("U01ALICE", found, report.ActionRestart)
	if m := a.message("the run can be watched", "Approved by <@U01ALICE>", "Snapshot the droplet"); m.TS != found.TS && m.ThreadTS != found.TS {
		t.Errorf("progress stands in another message: %+v", m)
	}
	done := a.message("the run ends", "Memory freed, worker working", "pid 100 → 1100", "Snapshot `dropleak-")
	if done.TS != found.TS || picture(t, done) != chart {
		t.Errorf("the outcome stands in another message, or without the chart: %+v", done)
	}
	if says(t, done, `"action_id":"`+report.ActionRestart+`"`) {
		t.Error("the button is still there")
	}
	a.once()
	a.atHome()
	a.known()
}

// picture returns the file that a message shows.
func picture(t *testing.T, m testbed.LocalSlackMessage) string {
	t.Helper()
	for _, b := range m.Blocks {
		if file, _ := b["slack_file"].(map[string]any); file != nil {
			if id, _ := file["id"].(string); id != "" {
				return id
			}
		}
	}
	t.Fatalf("the message shows no picture: %+v", m)
	return ""
}

// once checks that exactly one snapshot was complete before exactly one
// restart.
func (a *abroad) once() {
	a.t.Helper()
	a.droplet.mu.Lock()
	defer a.droplet.mu.Unlock()
	shots := a.cloud.Snapshots()
	if len(shots) != 1 || len(a.droplet.restarted) != 1 {
		a.t.Fatalf("%d snapshots, %d restarts", len(shots), len(a.droplet.restarted))
	}
	if !shots[0].Created.Before(a.droplet.restarted[0]) {
		a.t.Errorf("the snapshot was there at %s, the restart at %s", shots[0].Created, a.droplet.restarted[0])
	}
}

// atHome opens the App Home, and sees the fleet and the snapshot there.
func (a *abroad) atHome() {
	a.t.Helper()
	a.slack.Control("open-home", map[string]any{"user": "U01ALICE"})
	a.await("the App Home", testbed.Patience, func() error {
		page := "nothing"
		for _, e := range a.slack.Log() {
			if e.Summary == "views.publish" {
				page = string(e.Detail)
			}
		}
		for _, want := range []string{"All workers, on 1 droplet", "`mail` on web-1", "1 snapshot, "} {
			if !strings.Contains(page, want) {
				return fmt.Errorf("it does not say %q: %s", want, page)
			}
		}
		return nil
	})
}

// known checks that the foreign Slack knew every method it was asked for: what
// it lacks would not have been tested.
func (a *abroad) known() {
	a.t.Helper()
	methods := map[string]int{}
	for _, e := range a.slack.Log() {
		if e.Direction == "from_bot" && e.Kind == "web_api" {
			methods[e.Summary]++
		}
	}
	a.t.Logf("the bot called %v", methods)
	for _, want := range []string{"auth.test", "apps.connections.open", "users.info", "files.getUploadURLExternal", "files.completeUploadExternal", "files.info", "chat.postMessage", "chat.update", "views.publish"} {
		if methods[want] == 0 {
			a.t.Errorf("%s was never called", want)
		}
	}
}
