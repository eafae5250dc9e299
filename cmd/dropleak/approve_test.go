package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// office is a desk with the service's tokens: Slack and DigitalOcean are
// simulated, the gate and the store are real, and an agent answers.
type office struct {
	evidence *order.Findings // what the agent says of the worker, where that is asked
	*desk
	store *store.Store
	life  order.Fingerprint // of the worker, as its agent sees it
	in    string            // typed
}

const inOffice = "U0ANNA" // an approver; U0CARLA is a member, U0GUS a guest

func newOffice(t *testing.T, more string) *office {
	t.Helper()
	cloud := dosim.New(dosim.Options{Seed: 1})
	scopes := []string{"monitoring:read", "droplet:read", "actions:read", "tag:read", "snapshot:read"}
	cloud.AddToken("dop_v1_reader", scopes...)
	cloud.AddToken("dop_v1_executor", append(scopes, "droplet:update", "image:create", "image:delete", "snapshot:delete")...)
	cloud.AddDroplet(dosim.Droplet{ID: 4711, Name: "web-1", Tags: []string{"dropleak"}})
	api := httptest.NewServer(cloud)
	t.Cleanup(api.Close)
	sim := slacksim.New(slacksim.Options{Seed: 1})
	if err := sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	t.Setenv("DIGITALOCEAN_ACCESS_TOKEN", "dop_v1_reader")
	t.Setenv("DIGITALOCEAN_EXECUTOR_TOKEN", "dop_v1_executor")
	t.Setenv("SLACK_BOT_TOKEN", "xoxb-sim")
	t.Setenv("SLACK_APP_TOKEN", "xapp-sim")
	o := &office{desk: newDesk(t, ""), life: order.Fingerprint{PID: 100, Start: time.Now().Add(-time.Hour).UTC().Truncate(time.Second), BootID: "b-1"}}
	text := "data_dir: " + o.dir + "/data\nslack: {channel: C0OPS, api_url: \"" + sim.APIURL() + "\"}\ndigitalocean: {api_url: \"" + api.URL +
		"\", tag: dropleak}\nworkers: [{restart: supervisor, unit: mail}]\n" + more
	if err := os.WriteFile(o.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o.store = o.open()
	t.Cleanup(func() { o.store.Close() })
	o.answer()
	return o
}

// answer answers the questions to the agent until the test ends.
func (o *office) answer() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	o.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			waiting, err := o.store.WaitingOrders(ctx, "4711", time.Now())
			for _, x := range waiting {
				facts := order.Facts{Fingerprint: o.life, Unit: order.Unit{Kind: order.SupervisorProgram, Name: "mail"}, Workers: []string{"mail"}, StopTimeout: 10}
				_, err = o.store.MoveOrder(ctx, x.Key(), hub.Waiting, hub.Ended, time.Now(), &order.Result{Run: x.Run, Kind: x.Kind, State: order.Done, Facts: &facts, Evidence: o.evidence})
			}
			if err != nil && ctx.Err() == nil {
				o.t.Error(err)
				return
			}
		}
	}()
}

// asked stores a finding and the question about it, as the service does.
func (o *office) asked(id string, change ...func(data map[string]any)) {
	o.t.Helper()
	now := time.Now().UTC()
	f := finding.Finding{ID: "f-" + id, State: finding.Open, Severity: finding.High, Opened: now, Updated: now, LastSeen: now,
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "4711", DropletName: "web-1", Worker: "mail"}}
	if _, err := o.store.LiveFinding(o.t.Context(), f.Subject.Key()); err != nil {
		if err := o.store.OpenFinding(o.t.Context(), f); err != nil {
			o.t.Fatal(err)
		}
	}
	data := map[string]any{"run": id, "finding": f.ID, "asked": now, "expires": now.Add(time.Hour), "plan": map[string]any{"droplet_id": 4711,
		"droplet": "web-1", "worker": "mail", "way": "supervisor", "unit": map[string]string{"kind": "supervisor", "name": "mail"}, "life": o.life, "config_hash": o.hash()},
		"facts": order.Facts{Workers: []string{"mail"}, StopTimeout: 10}}
	for _, c := range change {
		c(data)
	}
	raw, err := json.Marshal(data)
	if err == nil {
		err = o.store.CreateRun(o.t.Context(), workflow.Run{ID: id, Recipe: "remedy", Key: "4711/mail-" + id, Step: "ask", Created: now, Updated: now, Due: now, Entered: now, Data: raw})
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// hash is what an approval of the worker is bound to.
func (o *office) hash() string {
	o.t.Helper()
	var talk bytes.Buffer
	c, err := loadConfig(streams{talk: &talk}, o.config)
	if err != nil {
		o.t.Fatalf("%v\n%s", err, talk.String())
	}
	return rule(c, 4711, []string{"dropleak"}, "mail").Hash
}

// do runs a command, with what is typed.
func (o *office) do(code int, args ...string) {
	o.t.Helper()
	var out, talk bytes.Buffer
	got := run(o.t.Context(), append(args, "--config", o.config), strings.NewReader(o.in), &out, &talk)
	o.printed, o.said = out.String(), talk.String()
	if got != code {
		o.t.Fatalf("dropleak %v: exit %d, want %d\n%s%s", args, got, code, o.printed, o.said)
	}
}

func (o *office) hears(words ...string) {
	o.t.Helper()
	for _, w := range words {
		if !strings.Contains(o.said, w) {
			o.t.Errorf("%q is not said:\n%s", w, o.said)
		}
	}
}

// last is the newest entry of the audit log.
func (o *office) last() audit.Entry {
	o.t.Helper()
	all, err := o.store.AuditEntries(o.t.Context(), audit.Filter{})
	if err != nil || len(all) == 0 {
		o.t.Fatalf("audit: %d entries, %v", len(all), err)
	}
	return all[len(all)-1]
}

// gate is who has let a run go, and how their word came.
func (o *office) gate(id string) (g struct {
	Votes []struct{ By, Kind, Reason, Via string }
	Skip  *struct{ Reason string }
}) {
	o.t.Helper()
	r, err := o.store.Run(o.t.Context(), id)
	if err == nil && len(r.Gate) > 0 {
		err = json.Unmarshal(r.Gate, &g)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	return g
}

func (o *office) wantVia(what string, e audit.Entry, by, kind string) {
	o.t.Helper()
	u, err := user.Current()
	host, herr := os.Hostname()
	if err != nil || herr != nil {
		o.t.Fatal(err, herr)
	}
	if e.What != what || e.Who != by || e.Subject != kind || !strings.Contains(e.Why, "on the command line, by operating-system user "+u.Username) || !strings.HasSuffix(e.Why, " on "+host) {
		o.t.Errorf("written down: %+v", e)
	}
}

func TestApprove(t *testing.T) {
	o := newOffice(t, "approvals: {approvers: [U0ANNA, U0BEN], quorum: 2}\n")
	o.asked("r1")

	o.in = "no\n"
	o.do(1, "approve", "--as", inOffice, "r1")
	o.hears("mail on web-1", "Restarts mail through supervisor.", "Running tasks get 10 s to finish", "Takes a snapshot of the droplet first", "0 of 2", "nothing was done")
	if g := o.gate("r1"); len(g.Votes) != 0 {
		t.Errorf("unconfirmed, it has votes: %+v", g.Votes)
	}
	o.in = ""
	o.do(1, "approve", "--as", "U0CARLA", "--yes", "r1")
	o.hears("not among the configured approvers")
	o.wantVia("refusal", o.last(), "U0CARLA", "approve")
	o.do(1, "approve", "--as", "U0GUS", "--yes", "r1")
	o.do(1, "approve", "--as", "U0NOBODY", "--yes", "r1")
	o.hears("Slack knows nobody by the id U0NOBODY")
	if g := o.gate("r1"); len(g.Votes) != 0 {
		t.Errorf("refused ones have votes: %+v", g.Votes)
	}

	o.in = "yes\n"
	o.do(0, "approve", "--as", inOffice, "r1")
	o.says("1 of 2 needed")
	o.wantVia("decision", o.last(), inOffice, "approve")
	o.in = ""
	o.do(1, "approve", "--as", inOffice, "--yes", "r1")
	o.hears("takes another person")
	o.do(0, "approve", "--as", "U0BEN", "--yes", "--json", "--skip-snapshot", "--reason", "backup of 02:00", "r1")
	var j decisionJSON
	if err := json.Unmarshal([]byte(o.printed), &j); err != nil || !j.Accepted || j.Run == nil || j.Run.Run != "r1" || len(j.Run.Votes) != 2 {
		t.Errorf("approve --json: %v\n%s", err, o.printed)
	}
	if g := o.gate("r1"); len(g.Votes) != 2 || g.Votes[1].Reason != "backup of 02:00" || !strings.Contains(g.Votes[1].Via, "command line") || g.Skip != nil {
		t.Errorf("the gate has %+v", g)
	}
	o.do(1, "approve", "--as", inOffice, "--yes", "--json", "r1")
	if err := json.Unmarshal([]byte(o.printed), &j); err != nil || j.Accepted || j.Code != "decided" || j.By != "U0BEN" {
		t.Errorf("approve --json of a decided one: %v\n%s", err, o.printed)
	}
	o.do(0, "approve", "--as", inOffice, "--yes", "--cancel", "r1")
	o.says("Cancelled")
	o.do(0, "audit", "verify")
}

// TestApproveSnapshotOnly: the question is about what would be done, and is not
// put where nothing would be.
func TestApproveSnapshotOnly(t *testing.T) {
	o := newOffice(t, "approvals: {approvers: [U0ANNA]}\n")
	only := func(data map[string]any) {
		data["only"], data["plan"], data["facts"] = true, map[string]any{"droplet_id": 4711, "droplet": "web-1", "worker": "mail"}, nil
	}
	o.asked("r1", only)
	o.in = "no\n"
	o.do(1, "approve", "--as", inOffice, "r1")
	o.hears("mail on web-1", "Nothing is restarted.\nTakes a snapshot of the droplet; how long", "Type yes")
	for _, wrong := range []string{"Restarts", "Running tasks", "first"} {
		if strings.Contains(o.said, wrong) {
			t.Errorf("says %q of a snapshot alone:\n%s", wrong, o.said)
		}
	}
	o.do(0, "runs")
	o.says("snapshot only")
	o.do(1, "approve", "--as", inOffice, "--skip-snapshot", "--reason", "x", "r1")
	o.refusesUnasked("Only a snapshot is asked for here.")

	r, err := o.store.ClaimRun(t.Context(), "test", time.Now(), time.Minute)
	if err == nil {
		r.Outcome, r.Ended, r.Owner = string(remedy.TimedOut), time.Now(), ""
		_, err = o.store.SaveRun(t.Context(), r, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.do(1, "approve", "--as", inOffice, "--skip-snapshot", "--reason", "x", "r1")
	o.refusesUnasked("This run has ended")
}

// refusesUnasked reports what is refused without a question.
func (o *office) refusesUnasked(words string) {
	o.t.Helper()
	o.hears(words)
	if strings.Contains(o.said, "Type yes") {
		o.t.Errorf("asked what would be refused:\n%s", o.said)
	}
}

// What was approved must be there still: another life of the worker, or
// another configuration, ends the question.
func TestApproveWhatMoved(t *testing.T) {
	const approvers = "approvals: {approvers: [U0ANNA]}\n"
	t.Run("the worker", func(t *testing.T) {
		o := newOffice(t, approvers)
		past := o.life
		o.life.PID = 99
		o.asked("r1")
		o.life = past
		o.do(1, "approve", "--as", inOffice, "--yes", "r1")
		o.hears("main process is another")
	})
	t.Run("the configuration", func(t *testing.T) {
		o := newOffice(t, approvers)
		o.asked("r1")
		text, err := os.ReadFile(o.config)
		if err == nil {
			err = os.WriteFile(o.config, bytes.Replace(text, []byte("unit: mail"), []byte("unit: mail, limit: 1GiB"), 1), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		o.do(1, "approve", "--as", inOffice, "--yes", "r1")
		o.hears("the configuration of this worker was changed")
	})
}

func TestApproveWrongly(t *testing.T) {
	o := newOffice(t, "approvals: {approvers: [S0ONCALL]}\n")
	o.asked("r1")
	o.do(2, "approve", "r1")
	o.do(2, "approve", "--as", inOffice)
	o.do(2, "approve", "--as", "anna", "r1")
	o.do(2, "approve", "--as", inOffice, "--cancel", "--skip-snapshot", "--reason", "x", "r1")
	o.do(2, "approve", "--as", inOffice, "--skip-snapshot", "r1")
	o.do(1, "approve", "--as", inOffice, "--yes", "nowhere")
	o.hears("not known here")
	o.do(0, "approve", "--as", inOffice, "--yes", "r1") // by group
	t.Setenv("SLACK_BOT_TOKEN", "xoxb-wrong")
	o.asked("r2")
	o.do(1, "approve", "--as", inOffice, "--yes", "r2")
	o.in = "no\n" // who cannot be told from nobody now may be a minute later, when it is asked again
	o.do(1, "approve", "--as", inOffice, "r2")
	o.hears("Type yes", "nothing was done")
	if g := o.gate("r2"); len(g.Votes) != 0 {
		t.Errorf("nobody could be asked, and it has votes: %+v", g.Votes)
	}
	t.Setenv("SLACK_BOT_TOKEN", "")
	o.do(2, "approve", "--as", inOffice, "--yes", "r2")
}

func TestFindingsSetAside(t *testing.T) {
	o := newOffice(t, "approvals: {approvers: [U0ANNA]}\n")
	now := time.Now().UTC()
	if err := o.store.OpenFinding(t.Context(), finding.Finding{ID: "f1", State: finding.Open, Severity: finding.High, Opened: now, Updated: now, LastSeen: now,
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "4711", DropletName: "web-1", Worker: "mail"}}); err != nil {
		t.Fatal(err)
	}
	state := func(want finding.State) finding.Finding {
		t.Helper()
		f, err := o.store.Finding(t.Context(), "f1")
		if err != nil || f.State != want {
			t.Fatalf("the finding is %s, want %s (%v)", f.State, want, err)
		}
		return f
	}
	o.do(2, "findings", "mute", "--as", inOffice, "f1")
	o.do(2, "findings", "mute", "--as", inOffice, "--for", "soon", "f1")
	o.do(1, "findings", "mute", "--as", "U0CARLA", "--yes", "--until-worse", "f1")
	o.hears("not among the configured approvers")
	o.wantVia("refusal", o.last(), "U0CARLA", "not_now mail on web-1")
	state(finding.Open)
	o.do(0, "findings", "mute", "--as", inOffice, "--yes", "--for", "24h", "f1")
	o.wantVia("not_now", o.last(), inOffice, "mail on web-1")
	if f := state(finding.Muted); f.MutedUntil.Before(now.Add(23*time.Hour)) || f.MessageTS == "" {
		t.Errorf("muted until %v, message %q", f.MutedUntil, f.MessageTS)
	}
	o.do(1, "findings", "unmute", "--as", "U0GUS", "--yes", "f1")
	o.do(0, "findings", "unmute", "--as", "U0CARLA", "--yes", "f1")
	state(finding.Open)
	o.do(1, "findings", "dismiss", "--as", "U0CARLA", "--yes", "--reason", "known", "f1")
	o.do(1, "findings", "dismiss", "--as", inOffice, "--reason", "known", "f1")
	o.hears("mail on web-1, open", "false alarm", "nothing was done")
	o.do(2, "findings", "dismiss", "--as", inOffice, "--yes", "f1")
	o.do(0, "findings", "dismiss", "--as", inOffice, "--yes", "--reason", "known", "f1")
	if f := state(finding.Dismissed); f.Why != "known" || f.By != inOffice {
		t.Errorf("dismissed by %s: %s", f.By, f.Why)
	}
	o.do(1, "findings", "mute", "--as", inOffice, "--yes", "--until-worse", "f1")
	o.hears("already dismissed")
	o.do(1, "findings", "mute", "--as", inOffice, "--yes", "--until-worse", "f2")
	o.hears("no finding f2")
}

func TestLoginUser(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{me.Uid: me.Username, "4294967295": "", "": "", "4000000001\n": "uid 4000000001"} {
		path := filepath.Join(t.TempDir(), "loginuid")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := loginUser(path); got != want {
			t.Errorf("login uid %q is %q, want %q", text, got, want)
		}
	}
	if got := loginUser(filepath.Join(t.TempDir(), "none")); got != "" {
		t.Errorf("without the file it is %q", got)
	}
}

// What becomes of the snapshot of an ended run is decided here, too.
func TestApproveKeepsSnapshot(t *testing.T) {
	o := newOffice(t, "approvals: {approvers: [U0ANNA]}\n")
	o.asked("r1")
	o.do(1, "approve", "--as", inOffice, "--yes", "--keep-snapshot", "r1")
	o.hears("no finished snapshot")
	o.do(1, "approve", "--as", inOffice, "--yes", "--quiet-window", "r1")
	o.hears("No quiet hours are configured")
	now := time.Now()
	r, err := o.store.ClaimRun(t.Context(), "test", now, time.Minute)
	if err == nil {
		r.Outcome, r.Ended, r.Owner = "freed_working", now, ""
		r.Data = bytes.Replace(r.Data, []byte(`{`), []byte(`{"snapshot_name":"dropleak-mail-r1","snapshot":{"id":"7","droplet_id":4711,"name":"dropleak-mail-r1"},`), 1)
		_, err = o.store.SaveRun(t.Context(), r, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.do(1, "approve", "--as", "U0CARLA", "--yes", "--keep-snapshot", "r1")
	o.in = "yes\n"
	o.do(0, "approve", "--as", inOffice, "--keep-snapshot", "r1")
	o.hears("Its snapshot stays")
	o.says("stays until somebody deletes it")
	o.wantVia("decision", o.last(), inOffice, "keep_snapshot")
	o.do(0, "approve", "--as", inOffice, "--delete-snapshot", "r1")
	o.hears("dropleak-mail-r1 is deleted. That cannot be undone.")
	if tidy, err := o.store.Run(t.Context(), "tidy-r1"); err != nil || !tidy.Live() {
		t.Errorf("its deletion is not begun: %v", err)
	}
	o.do(1, "approve", "--as", inOffice, "--yes", "r1")
	o.hears("This run has ended")
}
