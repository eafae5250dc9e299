package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
)

// desk is an operator's: a configuration, a store, and no secret at all.
type desk struct {
	t       *testing.T
	config  string
	dir     string
	printed string // on standard output, by the last command
	said    string // on standard error
}

func newDesk(t *testing.T, more string) *desk {
	d := &desk{t: t, dir: t.TempDir()}
	d.config = filepath.Join(d.dir, "dropleak.yaml")
	text := fmt.Sprintf("data_dir: %s\nslack: {channel: C0OPS}\napprovals: {approvers: [U0ANNA]}\n%s", filepath.Join(d.dir, "data"), more)
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

// run runs a command with the configuration and wants its exit code.
func (d *desk) run(code int, command string, args ...string) {
	d.t.Helper()
	var out, talk bytes.Buffer
	got := run(d.t.Context(), append([]string{command, "--config", d.config}, args...), strings.NewReader(""), &out, &talk)
	d.printed, d.said = out.String(), talk.String()
	if got != code {
		d.t.Fatalf("dropleak %s %v: exit %d, want %d\n%s%s", command, args, got, code, d.printed, d.said)
	}
}

func (d *desk) says(words ...string) {
	d.t.Helper()
	for _, w := range words {
		if !strings.Contains(d.printed, w) {
			d.t.Errorf("%q is not in:\n%s", w, d.printed)
		}
	}
}

// list decodes what the last command printed as a JSON array of n.
func (d *desk) list(n int) []map[string]any {
	d.t.Helper()
	var out []map[string]any
	if err := json.Unmarshal([]byte(d.printed), &out); err != nil || out == nil || len(out) != n {
		d.t.Fatalf("want a JSON array of %d (%v):\n%s", n, err, d.printed)
	}
	return out
}

// open opens the desk's store as the service would.
func (d *desk) open() *store.Store {
	d.t.Helper()
	s, err := store.Open(d.t.Context(), "sqlite:"+filepath.Join(d.dir, "data"), store.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// fill puts one live and one closed finding, one live and one ended run, and
// a sign of life into the store, and leaves it open as a service does.
func (d *desk) fill() *store.Store {
	d.t.Helper()
	ctx, s, now := d.t.Context(), d.open(), time.Now().UTC()
	try := func(err error) {
		d.t.Helper()
		if err != nil {
			d.t.Fatal(err)
		}
	}
	onset := now.Add(-9 * time.Hour)
	try(s.OpenFinding(ctx, finding.Finding{ID: "f-live", State: finding.Open, Severity: finding.High, Opened: now.Add(-2 * time.Hour), Updated: now, LastSeen: now,
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "4711", DropletName: "web-1", Worker: "mail\x1b[2J"},
		Verdict: detector.Verdict{Kind: detector.Leak, Onset: &onset, Rate: &detector.Interval{Low: 40 << 20, Value: 44 << 20, High: 48 << 20},
			Exhaustion: &detector.Exhaustion{Expected: now.Add(11*time.Hour + time.Minute)}, Evidence: []string{"It grew in 9 of 9 hours."}}}))
	try(s.OpenFinding(ctx, finding.Finding{ID: "f-closed", State: finding.Dismissed, Severity: finding.Low, Opened: now.Add(-48 * time.Hour), Closed: now, Updated: now,
		Subject: finding.Subject{Kind: finding.KindSilent, DropletID: "4712", DropletName: "web-2"}, By: "U0ANNA", Why: "switched off"}))
	run := func(id, key, more string) workflow.Run {
		return workflow.Run{ID: id, Recipe: "remedy", Key: key, Step: "ask", Created: now, Updated: now, Due: now, Entered: now,
			Data: json.RawMessage(fmt.Sprintf(`{"run":%q,"finding":"f-live","asked":%q,"expires":%q,"plan":{"droplet_id":4711,"droplet":"web-1","worker":"mail","way":"supervisor"}%s}`,
				id, now.Add(-time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339), more))}
	}
	try(s.CreateRun(ctx, run("r-live", "4711/mail", "")))
	const numbers = `,"before":{"bytes":1000,"metric":"rss+swap"},"life":{"now":{"bytes":400,"metric":"rss+swap"}%s}`
	try(s.CreateRun(ctx, run("r-over", "4711/video", `,"why":"Memory was freed, 2026-11-22T22:30:00Z.","snapshot":{"id":"1","name":"dropleak-r-over"}`+
		fmt.Sprintf(numbers, `,"freed":{"metric":"rss+swap","bytes":590,"low":550,"high":630}`))))
	try(s.CreateRun(ctx, run("r-older", "4711/pics", fmt.Sprintf(numbers, "")))) // of before the interval was kept
	for left := 2; left > 0; {                                                   // claimed in any order
		over, err := s.ClaimRun(ctx, fmt.Sprint("owner-", left), now, time.Minute)
		try(err)
		if over.ID == "r-live" {
			continue
		}
		over.Outcome, over.Ended, left = "freed_working", now, left-1
		_, err = s.SaveRun(ctx, over, true)
		try(err)
	}
	heard := func(p history.Presence) {
		p.DropletID = "4711"
		try(s.AppendPushes(ctx, []history.Push{{Droplet: p.DropletID, At: now.UnixMilli(), First: p.Last.UnixMilli(), Last: p.Last.UnixMilli(), Presence: []history.Presence{p}}}))
	}
	heard(history.Presence{Source: "digitalocean", Last: now.Add(-3 * time.Minute)})
	heard(history.Presence{Source: "digitalocean", Last: now.Add(-time.Minute)})
	heard(history.Presence{Worker: "mail", Last: now})
	return s
}

func TestListsOfWhatIsKnown(t *testing.T) {
	d := newDesk(t, "")
	defer d.fill().Close()

	d.run(0, "findings")
	d.says("SEVERITY", "high", "leak", "open", "web-1", "mail?[2J", "+44 MiB/h", "11 h", "f-live")
	if strings.Contains(d.printed, "f-closed") || strings.Contains(d.printed, "\x1b") {
		t.Errorf("a closed finding, or a control character, in:\n%s", d.printed)
	}
	d.run(0, "findings", "--all")
	d.says("f-closed", "dismissed")
	d.run(0, "findings", "--json")
	if f := d.list(1)[0]; f["id"] != "f-live" || f["rate_bytes_per_hour"] != float64(44<<20) || f["closed"] != nil || len(f["evidence"].([]any)) != 1 {
		t.Errorf("findings --json: %v", f)
	}

	d.run(0, "runs")
	d.says("r-live", "web-1", "mail", "supervisor", "ask")
	if strings.Contains(d.printed, "r-over") {
		t.Errorf("an ended run in:\n%s", d.printed)
	}
	d.run(0, "runs", "--all")
	d.says("r-over", "memory freed, worker working", "Memory was freed, ")
	d.run(0, "runs", "--all", "--json")
	for _, r := range d.list(3) {
		if r["run"] == "r-over" && (r["outcome"] != "freed_working" || r["snapshot"] != "dropleak-r-over" || r["ended"] == nil) {
			t.Errorf("runs --json: %v", r)
		}
		between := fmt.Sprint(r["freed_bytes"], r["freed_low"], r["freed_high"])
		if want := map[any]string{"r-live": "<nil> <nil> <nil>", "r-over": "600 550 630", "r-older": "600 <nil> <nil>"}[r["run"]]; between != want {
			t.Errorf("runs --json: %s freed %s, want %s", r["run"], between, want)
		}
	}

	d.run(0, "sources")
	d.says("4711", "mail", "agent", "digitalocean", "2 min")
	d.run(0, "sources", "--json")
	if s := d.list(2); s[0]["worker"] != "" || s[0]["interval_seconds"] != 120.0 || s[1]["interval_seconds"] != nil {
		t.Errorf("sources --json: %v", s)
	}
}

// The clock of who sends is shown where the sender is, and warned of above
// half a minute.
func TestClocks(t *testing.T) {
	d := newDesk(t, "")
	s := d.fill()
	defer s.Close()
	ids, now := map[string]string{}, time.Now().UTC().Truncate(time.Millisecond)
	for name, c := range map[string]struct {
		droplet string
		seen    *hub.Seen
	}{
		"retired": {"4711", &hub.Seen{At: now.Add(-time.Hour), Ahead: time.Minute}},
		"fast":    {"4711", &hub.Seen{At: now, Ahead: 2 * time.Minute}},
		"slow":    {"4712", &hub.Seen{At: now, Ahead: -31 * time.Second}},
		"good":    {"4713", &hub.Seen{At: now, Ahead: -30 * time.Second}},
		"unused":  {"4714", nil},
	} {
		made, _, err := hub.Create(t.Context(), s, hub.Token{Name: name, Kind: hub.Agent, Droplet: c.droplet})
		if err == nil && c.seen != nil {
			err = s.TouchToken(t.Context(), made.ID, *c.seen)
		}
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = made.ID
	}
	if err := s.RevokeToken(t.Context(), ids["retired"], now); err != nil {
		t.Fatal(err)
	}
	warned := func(want ...string) {
		t.Helper()
		for name, id := range ids {
			if got := strings.Contains(d.said, "warning: samples of token "+id); got != slices.Contains(want, name) {
				t.Errorf("warned of %s: %v, in:\n%s", name, got, d.said)
			}
		}
	}
	d.run(0, "token", "list")
	if zone := time.Now().Format(" MST "); strings.Count(d.printed, zone) == 0 {
		d.t.Errorf("times without their zone,%s:\n%s", zone, d.printed)
	}
	d.says("CLOCK", "2 min ahead", "31 s behind", "good", "-")
	warned("fast", "slow")
	d.run(0, "token", "list", "--json")
	ahead := map[any]any{}
	for _, x := range d.list(5) {
		ahead[x["name"]] = x["ahead_seconds"]
	}
	if ahead["fast"] != 120.0 || ahead["slow"] != -31.0 || ahead["unused"] != nil {
		t.Errorf("token list --json: %v", ahead)
	}
	d.run(0, "sources")
	if line := strings.Join(strings.Fields(d.line("mail")), " "); !strings.HasSuffix(line, "2 min ahead") {
		t.Errorf("sources says of the agent: %s", line)
	}
	if line := d.line("digitalocean"); !strings.HasSuffix(strings.TrimSpace(line), "-") {
		t.Errorf("sources says of DigitalOcean: %s", line)
	}
	warned("fast", "slow")
	d.run(0, "sources", "--json")
	if x := d.list(2); x[0]["ahead_seconds"] != nil || x[1]["ahead_seconds"] != 120.0 {
		t.Errorf("sources --json: %v", x)
	}
}

// line returns the line of the last command's output that holds a word.
func (d *desk) line(word string) string {
	d.t.Helper()
	for l := range strings.Lines(d.printed) {
		if strings.Contains(l, word) {
			return l
		}
	}
	d.t.Fatalf("no line with %s in:\n%s", word, d.printed)
	return ""
}

func TestListsOfNothing(t *testing.T) {
	d := newDesk(t, "")
	for _, command := range []string{"findings", "runs", "sources", "export", "backup"} { // a mistyped data_dir must not look like peace
		args := map[string][]string{"backup": {filepath.Join(d.dir, "backup")}}[command]
		d.run(1, command, args...)
		if want := filepath.Join(d.dir, "data") + ": there is none yet"; d.printed != "" || !strings.Contains(d.said, want) {
			t.Errorf("%s without a store prints %q and says %q, want %q", command, d.printed, d.said, want)
		}
	}
	if err := d.open().Close(); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"findings", "runs", "sources"} {
		d.run(0, command, "--json")
		d.list(0)
		d.run(0, command)
		if d.printed != "" || !strings.HasPrefix(d.said, "no ") {
			t.Errorf("%s of an empty store prints %q and says %q", command, d.printed, d.said)
		}
		d.run(2, command, "surplus")
	}
}

func TestBackupAndRestore(t *testing.T) {
	d := newDesk(t, "")
	s := d.fill()
	file := filepath.Join(d.dir, "backup")
	d.run(0, "backup", file) // beside the service
	d.run(1, "backup", file)
	if !strings.Contains(d.said, "exists") {
		t.Errorf("a second backup into one file: %s", d.said)
	}
	d.run(1, "restore", file)
	if !strings.Contains(d.said, "data") {
		t.Errorf("a restore into a store in use: %s", d.said)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	other := newDesk(t, "")
	other.run(0, "restore", file)
	if !strings.Contains(other.said, "1 open runs ended as unknown, 0 open orders are void") {
		t.Errorf("restore says: %s", other.said)
	}
	other.run(0, "audit", "verify")
	other.says("is whole")
	other.run(0, "audit", "export")
	other.says(`"what":"restore"`, `"subject":"backup"`, `"who":"cli:`)
	other.run(0, "audit", "export", "--format", "csv")
	other.says("seq,at,who,what,run,subject,why,before,after", ",restore,,backup,")
	other.run(0, "runs", "--all", "--json")
	for _, r := range other.list(3) {
		if r["run"] == "r-live" && r["outcome"] != "unknown" {
			t.Errorf("a restored open run is %v", r)
		}
	}
	other.run(0, "findings")
	other.says("f-live")
	other.run(1, "restore", file)
	if !strings.Contains(other.said, "not empty") {
		t.Errorf("a restore over what is there: %s", other.said)
	}
	other.run(2, "restore")
}

func TestHealth(t *testing.T) {
	good := http.StatusOK
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(good)
		}
		fmt.Fprintln(w, r.URL.Path)
	}))
	d := newDesk(t, "listen: "+strings.TrimPrefix(service.URL, "http://"))
	d.run(0, "health")
	d.says("/healthz")
	d.run(0, "health", "--ready")
	d.says("/readyz")
	good = http.StatusServiceUnavailable
	d.run(1, "health", "--ready")
	if !strings.Contains(d.said, "503") {
		t.Errorf("not ready: %s", d.said)
	}
	service.Close()
	d.run(1, "health")
	d.run(1, "health", "--wait", "300ms")
	if !strings.Contains(d.said, "refused") {
		t.Errorf("nobody there: %s", d.said)
	}
}

func TestHealthOverTLS(t *testing.T) {
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	defer service.Close()
	d := newDesk(t, fmt.Sprintf("listen: %s\ntls: {cert: c.pem, key: k.pem}", strings.TrimPrefix(service.URL, "https://")))
	d.run(0, "health")
	d.says("ok")
}

func TestHealthWaitsForAStart(t *testing.T) {
	asked := 0
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer service.Close()
	d := newDesk(t, "listen: "+strings.TrimPrefix(service.URL, "http://"))
	d.run(0, "health", "--ready", "--wait", "1m")
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
}

func TestDialable(t *testing.T) {
	for listen, want := range map[string]string{"127.0.0.1:80": "127.0.0.1:80", ":80": "localhost:80", "0.0.0.0:80": "localhost:80", "[::]:80": "localhost:80", "10.0.0.7:80": "10.0.0.7:80"} {
		if got, err := dialable(listen); got != want || err != nil {
			t.Errorf("dialable(%q) = %q, %v; want %q", listen, got, err, want)
		}
	}
	if _, err := dialable("80"); err == nil {
		t.Error("an address without a port is dialled")
	}
}

// Every command answers --help, and wrong use exits with 2.
func TestEveryCommandHelps(t *testing.T) {
	for _, c := range root(streams{}).Commands() {
		var out, talk bytes.Buffer
		if code := run(context.Background(), []string{c.Name(), "--help"}, strings.NewReader(""), &out, &talk); code != 0 || !strings.Contains(out.String(), "Usage:") {
			t.Errorf("dropleak %s --help: exit %d\n%s", c.Name(), code, talk.String())
		}
		if code := run(context.Background(), []string{c.Name(), "--no-such-flag"}, strings.NewReader(""), &out, &talk); code != 2 && c.Name() != "help" {
			t.Errorf("dropleak %s --no-such-flag: exit %d, want 2", c.Name(), code)
		}
	}
}

// terminalInCET sets the clock of the terminal an hour off UTC for one test.
func terminalInCET(t *testing.T) {
	here := time.Local
	t.Cleanup(func() { time.Local = here })
	time.Local = time.FixedZone("CET", 3600)
}

// People read the terminal's time, programs that of the world.
func TestTimesOfTheTerminal(t *testing.T) {
	terminalInCET(t)
	d := newDesk(t, "")
	s := d.open()
	defer s.Close()
	made, _, err := hub.Create(t.Context(), s, hub.Token{Name: "agent", Kind: hub.Agent, Droplet: "4711"})
	if err == nil {
		err = s.TouchToken(t.Context(), made.ID, hub.Seen{At: made.Created.Add(time.Minute), Ahead: time.Hour})
	}
	if err != nil {
		t.Fatal(err)
	}
	seen := made.Created.Add(time.Hour + time.Minute).Format(time.DateTime)
	d.run(0, "token", "list")
	d.says(made.Created.Add(time.Hour).Format(time.DateTime), seen)
	if !strings.Contains(d.said, "when they came at "+seen) {
		t.Errorf("warned by another clock than %s: %s", seen, d.said)
	}
	d.run(0, "token", "list", "--json")
	if x := d.list(1)[0]; x["created"] != made.Created.Format(time.RFC3339Nano) {
		t.Errorf("%v", x)
	}
}

// What a run says stands in the terminal's time; a program reads it as stored.
func TestTimesOfRuns(t *testing.T) {
	terminalInCET(t)
	d := newDesk(t, "")
	defer d.fill().Close()
	d.run(0, "runs", "--all")
	d.says("Memory was freed, 22 Nov 23:30 CET.")
	d.run(0, "runs", "--all", "--json")
	if d.says("Memory was freed, 2026-11-22T22:30:00Z."); strings.Contains(d.printed, "CET") {
		t.Errorf("the terminal's zone in %s", d.printed)
	}
	const words = "Too late (2026-11-22T22:30:07Z)."
	var out strings.Builder
	err := told(streams{out: &out}, false, remedy.Answer{Words: words, Refusal: &remedy.Refusal{Words: words, By: "U0BEN"}})
	if err == nil || !strings.Contains(err.Error(), "Too late (22 Nov 23:30:07 CET). It was U0BEN.") {
		t.Errorf("refused: %v", err)
	}
	if err := told(streams{out: &out}, false, remedy.Answer{Words: words, Accepted: true}); err != nil || out.String() != "Too late (22 Nov 23:30:07 CET).\n" {
		t.Errorf("accepted: %q, %v", out.String(), err)
	}
	out.Reset()
	if err := told(streams{out: &out}, true, remedy.Answer{Words: words, Accepted: true}); err != nil || !strings.Contains(out.String(), words) {
		t.Errorf("as JSON: %q, %v", out.String(), err)
	}
}
