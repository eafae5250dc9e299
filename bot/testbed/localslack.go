package testbed

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// LocalSlackServer is a Slack workspace that others wrote: the npm package local-slack. Our client and our own simulator
// could merely agree with each other; with this one they cannot. It is lenient (no limits, no validation, no expiry) and
// answers unknown_method to usergroups.users.list.
//
// Its workspace is T01TEST with the channel #ops (C01OPS), where Alice (U01ALICE), Bob (U02BOB) and the bot (U0BOT) are;
// the bot's tokens are xoxb-test and xapp-test, its signing secret is test-secret.
type LocalSlackServer struct {
	*Process
	URL string // without a slash at its end; its Web API is below /api/
	t   testing.TB
}

// LocalSlack starts one that lives as long as the test. app is how it reaches the bot: "mode: socket", or
// "mode: events, requestUrl: URL".
func LocalSlack(t testing.TB, app string) *LocalSlackServer {
	t.Helper()
	bin, dir := localSlack(t), Folder(t)
	conf := filepath.Join(dir, "workspace.yaml")
	write(t, conf, `workspace: { name: Test, domain: test, teamId: T01TEST }
app: { appId: A01APP, botUserId: U0BOT, botName: dropleak, botToken: xoxb-test, appToken: xapp-test, signingSecret: test-secret, `+app+` }
users:
  - { id: U01ALICE, name: alice, real_name: Alice Anderson }
  - { id: U02BOB, name: bob, real_name: Bob Brown }
channels:
  - { id: C01OPS, name: ops, members: [U01ALICE, U02BOB, U0BOT] }
`)
	s := &LocalSlackServer{t: t}
	s.Process = onFreePort(t, func(port int) (*Process, func() error, error) {
		s.URL = "http://127.0.0.1:" + strconv.Itoa(port)
		cmd := exec.Command(bin, "--config", conf, "--port", strconv.Itoa(port), "--base-host", "127.0.0.1", "--files-dir", filepath.Join(dir, "files"))
		cmd.Env = append(os.Environ(), "HOME="+dir)
		p, err := launch("local-slack", dir, cmd)
		return p, answers(t.Context(), s.URL+"/_control/state"), err
	})
	return s
}

//go:embed testdata/local-slack
var localSlackPackage embed.FS

// localSlack finds the program: where DROPLEAK_LOCAL_SLACK points, else in a cache folder, filled from npm on first use.
func localSlack(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("DROPLEAK_LOCAL_SLACK"); p != "" {
		return p
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "dropleak", "local-slack-0.1.8")
	bin := filepath.Join(dir, "node_modules", "local-slack-linux-x64", "bin", "local-slack")
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("DROPLEAK_LOCAL_SLACK is not set, and there is no npm to install it with")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"package.json", "package-lock.json"} {
		b, err := localSlackPackage.ReadFile("testdata/local-slack/" + f)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, f), string(b))
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return bin
}

// Control does what a person would: what is command, interact, message, open-home or another of its control paths.
func (s *LocalSlackServer) Control(what string, args map[string]any) {
	s.t.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.Post(s.URL+"/_control/"+what, "application/json", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s: %s (%v)", what, resp.Status, b, err)
	}
}

// LocalSlackMessage is a message as local-slack keeps it.
type LocalSlackMessage struct {
	TS        string           `json:"ts"`
	ThreadTS  string           `json:"thread_ts"`
	User      string           `json:"user"`
	Text      string           `json:"text"`
	Blocks    []map[string]any `json:"blocks"`
	Ephemeral string           `json:"ephemeral_to"` // who alone sees it
}

// Messages are a channel's, oldest first.
func (s *LocalSlackServer) Messages(channel string) []LocalSlackMessage {
	s.t.Helper()
	var answer struct {
		Messages []LocalSlackMessage `json:"messages"`
	}
	if err := s.read("messages/"+channel, &answer); err != nil {
		s.t.Fatal(err)
	}
	return answer.Messages
}

// LocalSlackEntry is a line of its log: a call that the bot made, or a request that it got.
type LocalSlackEntry struct {
	Direction, Kind, Summary string
	Detail                   json.RawMessage
}

// Log is all that happened.
func (s *LocalSlackServer) Log() []LocalSlackEntry {
	s.t.Helper()
	var answer struct {
		Log []LocalSlackEntry `json:"log"`
	}
	if err := s.read("log", &answer); err != nil {
		s.t.Fatal(err)
	}
	return answer.Log
}

func (s *LocalSlackServer) read(what string, into any) error {
	resp, err := http.Get(s.URL + "/_control/" + what)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("read %s of local-slack: %w", what, err)
	}
	return nil
}
