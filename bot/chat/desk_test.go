package chat_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/chat"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/watch"
)

// The people of the simulated workspace.
const (
	anna, ben = "U0ANNA", "U0BEN" // approvers
	carla     = "U0CARLA"         // a member, no approver
	gus, eve  = "U0GUS", "U0EVE"  // a guest, a stranger
	ops       = "C0OPS"
)

// desk is the whole conversation: the chat, the wire, a workspace, the real
// remedy and the real store. Only the droplets are pretended.
type desk struct {
	leave    func() // ends the work, see work
	rehearse bool
	t        *testing.T
	sim      *slacksim.Sim
	app      *slackapp.App
	chat     *chat.Chat
	store    *store.Store
	rem      *remedy.Service
	far      *droplets
	hurt     *hurt // of the inbox
	notes    []chat.Note
	cursors  chat.Cursors                // nil: none
	loose    bool                        // anybody may mute
	wire     func(chat.Slack) chat.Slack // what the next chat speaks through; nil: the app itself
	mu       sync.Mutex
}

// hurt lets an inbox fail.
type hurt struct {
	chat.Inbox
	mu   sync.Mutex
	save error
}

func (h *hurt) SaveEnvelope(ctx context.Context, id string, body []byte, at time.Time) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.save != nil {
		return false, h.save
	}
	return h.Inbox.SaveEnvelope(ctx, id, body, at)
}

func (h *hurt) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.save = err
}

var quiet = slog.New(slog.DiscardHandler)

// bubble runs a test at a desk in fake time, the wire being signed HTTP.
func bubble(t *testing.T, f func(t *testing.T, d *desk), prepare ...func(*desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for _, do := range prepare {
			do(d)
		}
		so := slacksim.Options{AppURL: "http://bot.test"}
		so.App = slacksim.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.app.HTTPHandler().ServeHTTP(w, r)
		}))
		d.sim = slacksim.New(so).Kind()
		d.open(slackapp.Options{BotToken: "xoxb-sim", SigningSecret: "sim-signing-secret", Mode: slackapp.HTTP,
			APIURL: "http://127.0.0.1:9/api/", HTTPClient: &http.Client{Transport: d.sim.RoundTripper()}})
		defer d.work()()
		f(t, d)
	})
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &desk{t: t, store: s, far: newDroplets(), hurt: &hurt{Inbox: s}}
}

// rehearsed is [bubble] for a service that carries nothing out.
func rehearsed(t *testing.T, f func(t *testing.T, d *desk)) {
	t.Helper()
	bubble(t, f, func(d *desk) { d.rehearse = true })
}

// receiver lets the app be made before the chat.
type receiver struct{ d *desk }

func (r receiver) Receive(ctx context.Context, in slackapp.Envelope) (slackapp.Ack, error) {
	return r.d.chat.Receive(ctx, in)
}

func (d *desk) open(o slackapp.Options) {
	d.t.Helper()
	o.Logger, o.Handler = quiet, receiver{d}
	app, err := slackapp.New(o)
	if err != nil {
		d.t.Fatal(err)
	}
	d.app = app
	d.rem = remedy.New(remedy.Deps{Store: d.store, Audit: d.store, Findings: d.store, People: people{app},
		Watcher: d.far, Looker: d.far, Cloud: d.far, Shelf: d.far, Ways: restart.Ways{restart.Supervisor: d.far},
		Choose:   func(finding.Subject) (remedy.Choice, error) { return d.far.chosen() },
		Announce: func(ctx context.Context, v remedy.View) error { return d.chat.RunChanged(ctx, v) },
		Rolled:   func(ctx context.Context, v remedy.RolloutView) error { return d.chat.RolloutChanged(ctx, v) },
		Expect:   func(context.Context, int64, float64) time.Duration { return 9 * time.Minute },
	}, remedy.Config{Approvers: []string{"<!subteam^S0ONCALL|@oncall>", gus, eve}, Team: "T0DROPLEAK", AllowSelf: true, Owner: "a", Expires: 2 * time.Hour, Rehearse: d.rehearse,
		Quiet: func(t time.Time) time.Time { return t.Truncate(24 * time.Hour).Add(22 * time.Hour) }})
	d.chat = d.newChat("a")
}

// newChat is one process's chat at the same desk.
func (d *desk) newChat(owner string) *chat.Chat {
	var wire chat.Slack = d.app
	if d.rehearse {
		wire = chat.Rehearsing(d.app)
	}
	if d.wire != nil {
		wire = d.wire(wire)
	}
	return chat.New(chat.Options{Slack: wire, Inbox: d.hurt, Findings: d.store, Remedy: d.rem, Standing: d.rem, Rolling: d.rem, Fleet: d.far,
		Person: d.app.User, Team: "T0DROPLEAK", Channel: ops, AnyoneMutes: d.loose, Escalation: "S0LEADS", Cursors: d.cursors, Zone: time.UTC, Owner: owner, Log: quiet,
		Audit: func(_ context.Context, n chat.Note) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.notes = append(d.notes, n)
			return nil
		},
		Head: func(ctx context.Context) (string, error) {
			h, err := d.store.AuditHead(ctx)
			return h.String(), err
		}})
}

// work starts the chat and the remedy, and returns what stops them.
func (d *desk) work() (stop func()) {
	d.leave = d.staff()
	return func() {
		if err := d.app.Close(context.Background()); err != nil {
			d.t.Error(err)
		}
		d.leave()
	}
}

// staff starts the chat and the remedy, and returns what makes them leave.
func (d *desk) staff() (leave func()) {
	ctx, cancel := context.WithCancel(d.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { d.chat.Run(ctx) })
	wg.Go(func() {
		if err := d.rem.Run(ctx); err != nil {
			d.t.Error(err)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// nap lets long hours pass with the service down, as nothing happens in them
// but looks at the clock, and then some more with the service back.
func (d *desk) nap(hours, more time.Duration) {
	d.leave()
	time.Sleep(hours)
	d.leave = d.staff()
	d.rest(more)
}

// rest lets everything go on for a while.
func (d *desk) rest(dur time.Duration) {
	time.Sleep(dur)
	synctest.Wait()
}

// opened stores a finding about a worker as the watch would, tells of it, and
// returns it with its message.
func (d *desk) opened(worker string) (finding.Finding, slacksim.Message) {
	d.t.Helper()
	v := d.far.view()
	f := leak(v, worker)
	if err := d.store.OpenFinding(d.t.Context(), f); err != nil {
		d.t.Fatal(err)
	}
	d.tell(watch.Opened, f.ID)
	return d.message(f.ID)
}

// tell tells the chat that a finding changed.
func (d *desk) tell(what watch.What, id string) {
	d.t.Helper()
	f := d.finding(id)
	v := d.far.view()
	if err := d.chat.FindingChanged(d.t.Context(), watch.Change{What: what, Finding: f, View: &v}); err != nil {
		d.t.Fatal(err)
	}
	d.rest(5 * time.Second)
}

func (d *desk) finding(id string) finding.Finding {
	d.t.Helper()
	f, err := d.store.Finding(d.t.Context(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	return f
}

func (d *desk) message(id string) (finding.Finding, slacksim.Message) {
	d.t.Helper()
	f := d.finding(id)
	m, ok := d.sim.Message(f.Channel, f.MessageTS)
	if !ok {
		d.t.Fatalf("finding %s has no message; its ts is %q", id, f.MessageTS)
	}
	return f, m
}

// press clicks a button of the finding's message as it stands now.
func (d *desk) press(user, id, action string) {
	d.t.Helper()
	f, _ := d.message(id)
	if err := d.sim.Click(user, f.Channel, f.MessageTS, action); err != nil {
		d.t.Fatal(err)
	}
	d.rest(5 * time.Second)
}

// say sends a slash command and returns the newest answer its sender sees.
func (d *desk) say(user, line string) slacksim.Message {
	d.t.Helper()
	before := len(d.sim.Ephemerals(user))
	if err := d.sim.Command(user, ops, line); err != nil {
		d.t.Fatal(err)
	}
	d.rest(5 * time.Second)
	seen := d.sim.Ephemerals(user)
	if len(seen) == before {
		d.t.Fatalf("%s: no answer", line)
	}
	return seen[len(seen)-1]
}

// told is the newest thing said to one person alone.
func (d *desk) told(user string) string {
	d.t.Helper()
	seen := d.sim.Ephemerals(user)
	if len(seen) == 0 {
		return ""
	}
	return seen[len(seen)-1].PlainText()
}

// run is the newest run.
func (d *desk) run() remedy.View {
	d.t.Helper()
	views, err := d.rem.Views(d.t.Context(), all)
	if err != nil || len(views) == 0 {
		d.t.Fatalf("no run: %v", err)
	}
	return views[0]
}

// decisions are what the audit log says people decided.
func (d *desk) journal(what string) (out []audit.Entry) {
	d.t.Helper()
	entries, err := d.store.AuditEntries(d.t.Context(), audit.Filter{})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		if e.What == what {
			out = append(out, e)
		}
	}
	return out
}

// actions are the action ids a message offers, in order.
func actions(m slacksim.Message) (out []string) {
	for _, b := range m.Blocks {
		if b["type"] != "actions" {
			continue
		}
		for _, e := range b["elements"].([]any) {
			el := e.(map[string]any)
			out = append(out, el["action_id"].(string))
			options, _ := el["options"].([]any)
			for _, o := range options {
				out = append(out, fmt.Sprint(o.(map[string]any)["value"]))
			}
		}
	}
	return out
}

func offers(m slacksim.Message, action string) bool {
	for _, a := range actions(m) {
		if a == action || strings.HasPrefix(a, action+":") {
			return true
		}
	}
	return false
}

func wantText(t *testing.T, what, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s says\n%s\nwithout %q", what, got, w)
		}
	}
}

// people asks the wire who somebody is, as the service does.
type people struct{ app *slackapp.App }

func (p people) Person(ctx context.Context, id string) (remedy.Person, error) {
	u, err := p.app.User(ctx, id)
	return remedy.Person{ID: u.ID, Team: u.Team, Bot: u.Bot, Deleted: u.Deleted, Guest: u.Guest, Stranger: u.Stranger}, err
}

func (p people) Members(ctx context.Context, group string) ([]string, error) {
	return p.app.GroupMembers(ctx, group)
}

var unit = order.Unit{Kind: order.SupervisorProgram, Name: "mail"}
