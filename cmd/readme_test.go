package cmd

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// block is one fenced block of commands on a page.
type block struct {
	page string
	line int
	text string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// shells are the fences that hold commands; a block in any other language is something to read.
var fence = regexp.MustCompile("^( *)```([a-z]*)$")

// blocks returns the commands of a page, in order.
func blocks(t *testing.T, page string) (found []block) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, page))
	if err != nil {
		t.Fatal(err)
	}
	var open *block
	var indent string
	for i, line := range strings.Split(string(text), "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && open == nil:
			indent, open = m[1], &block{page: page, line: i + 1}
			if m[2] == "" {
				t.Errorf("%v: a fence without a language: is it to be run?", open)
			}
			if m[2] != "sh" && m[2] != "console" && m[2] != "bash" {
				open.line = 0
			}
		case m != nil:
			if open.line > 0 {
				found = append(found, *open)
			}
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	if open != nil {
		t.Errorf("%v: a fence that does not end", open)
	}
	return found
}

// excused are blocks that the test does not run, by their first line, and why. A row that excuses nothing fails.
var excused = map[string]string{
	"sudo .ci/test":           "it is what runs this test",
	"docker build":            "needs docker and a registry; make image-check builds the same Dockerfile and looks whether it serves",
	"go run ./cmd/dropleak d": "TestReadmeDemo runs its two lines",
}

// excuse returns why a block is not run.
func excuse(b block, used map[string]bool) (string, bool) {
	for first, why := range excused {
		if strings.HasPrefix(b.text, first) {
			used[first] = true
			return why, true
		}
	}
	return "", false
}

// TestEveryCommandOfThePages runs each command block of the pages that a stranger follows, in order: those of the
// checkout here, the rest as root in a systemd of its own, between a simulated Slack and a simulated DigitalOcean.
func TestEveryCommandOfThePages(t *testing.T) {
	used := map[string]bool{}
	w := newStranger(t)
	for _, page := range []string{"README.md", "docs/install.md", "docs/agent.md", "docs/operations.md"} {
		for _, b := range blocks(t, page) {
			if why, ok := excuse(b, used); ok {
				t.Logf("%v is not run: %s", b, why)
				continue
			}
			w.follow(b)
		}
	}
	for first := range excused {
		if !used[first] {
			t.Errorf("the excuse for %q excuses nothing", first)
		}
	}
	w.audit()
}

// stranger follows the pages.
type stranger struct {
	t        *testing.T
	m        *testbed.Machine
	cloud    string // DigitalOcean's address
	slack    *slacksim.Sim
	listen   string
	folder   string // a checkout's bin/ and configs/, as the machine sees it
	token    string // of the agent, as printed
	followed int
}

const strangersDroplet = 123456789

func newStranger(t *testing.T) *stranger {
	w := &stranger{t: t, m: testbed.Systemd(t, testbed.MachineOptions{HostNetwork: true})}
	cloud := dosim.New(dosim.Options{Seed: 1})
	cloud.AddToken("dop_v1_reader", doclient.ReaderScopes...)
	cloud.AddToken("dop_v1_executor", doclient.ExecutorScopes...)
	cloud.AddDroplet(dosim.Droplet{ID: strangersDroplet, Name: "web1", Tags: []string{"dropleak"}, MemoryMiB: 4096})
	// The same server is the droplet's metadata service.
	mux := http.NewServeMux()
	mux.Handle("/v2/", cloud)
	mux.HandleFunc("/metadata/", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, strangersDroplet) })
	mux.HandleFunc("/{$}", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, strangersDroplet) })
	api := httptest.NewServer(mux)
	t.Cleanup(api.Close)
	w.cloud = api.URL
	w.slack = slacksim.New(slacksim.Options{Seed: 1})
	if err := w.slack.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.slack.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.listen = l.Addr().String()
	l.Close()
	return w
}

// follow runs a block where it belongs, and does by hand what the page tells people to do by hand.
func (w *stranger) follow(b block) {
	w.t.Helper()
	w.before(b)
	var cmd *exec.Cmd
	if strings.HasPrefix(b.text, "make build") || b.page == "README.md" {
		cmd = exec.CommandContext(w.t.Context(), "bash", "-euo", "pipefail", "-c", b.text)
		cmd.Dir = top
	} else {
		cmd = w.m.Command("bash", "-euo", "pipefail", "-c", "cd /mnt/checkout && export PATH=/usr/local/bin:$PATH\n"+b.text)
	}
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	said, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); b.page == "README.md" && strings.Contains(b.text, " scan ") && code == 1 {
		err = nil // a leak was found, and that is what there is to find
	}
	w.t.Logf("%v\n%s%s", b, b.text, said)
	if err != nil {
		w.t.Fatalf("%v: %v", b, err)
	}
	w.followed++
	w.after(b, string(said))
}

// before prepares what the block takes for granted.
func (w *stranger) before(b block) {
	switch {
	case strings.Contains(b.text, "worker.csv"):
		file := filepath.Join(top, "worker.csv")
		var csv strings.Builder
		csv.WriteString("time,rss\n")
		for minute := range 24 * 60 {
			fmt.Fprintf(&csv, "%d,%d\n", minute*60, 300<<20+minute*700<<10+minute%7*(64<<10))
		}
		w.put(file, csv.String(), 0o644)
		w.t.Cleanup(func() { os.Remove(file); os.Remove(filepath.Join(top, "leak.png")) })
	case b.page == "docs/agent.md" && strings.Contains(b.text, "agent.env"):
		w.edit("configs/agent.env", "https://dropleak.example.com", "http://"+w.listen, "#DROPLEAK_EVERY=1m", "DROPLEAK_EVERY=1s\nDROPLEAK_METADATA_URL="+w.cloud)
	case strings.Contains(b.text, "check --config") && b.page == "docs/install.md":
		w.configure()
	}
}

// after does what the page tells to do next.
func (w *stranger) after(b block, said string) {
	switch {
	case strings.HasPrefix(b.text, "make build"):
		dir := filepath.Join(w.m.Shared, "checkout")
		w.folder = dir
		for _, part := range []string{"bin", "configs"} {
			if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(top, part))); err != nil {
				w.t.Fatal(err)
			}
		}
		for _, name := range []string{"dropleak", "dropleak-agent"} {
			if err := os.Chmod(filepath.Join(dir, "bin", name), 0o755); err != nil {
				w.t.Fatal(err)
			}
		}
	case strings.Contains(b.text, "token create"):
		w.token = strings.TrimSpace(said)
	case b.page == "docs/agent.md" && strings.Contains(b.text, "agent.token"):
		w.put(w.m.Path("/etc/dropleak/agent.token"), w.token, 0o640)
	case strings.Contains(b.text, "scan "):
		if !strings.Contains(said, "leak") {
			w.t.Errorf("%v finds no leak", b)
		}
		if _, err := os.Stat(filepath.Join(top, "leak.png")); err != nil {
			w.t.Error(err)
		}
	case strings.Contains(b.text, "enable --now dropleak\n"):
		if !strings.Contains(said, `"ready":true`) {
			w.t.Errorf("%v: the service is not ready", b)
		}
	}
}

// configure edits the installed files as the page says.
func (w *stranger) configure() {
	yaml := w.m.Path("/etc/dropleak/dropleak.yaml")
	w.replace(yaml, "listen: 127.0.0.1:8080", "listen: "+w.listen, "metrics_listen: 127.0.0.1:9464", `metrics_listen: ""`,
		"api_url: https://api.digitalocean.com", "api_url: "+w.cloud, "api_url: https://slack.com/api/", "api_url: "+w.slack.APIURL(),
		"C0123456789", "C0OPS", "U0123456789", "U0ANNA")
	w.replace(w.m.Path("/etc/dropleak/dropleak.env"), "DIGITALOCEAN_ACCESS_TOKEN=\n", "DIGITALOCEAN_ACCESS_TOKEN=dop_v1_reader\n",
		"DIGITALOCEAN_EXECUTOR_TOKEN=\n", "DIGITALOCEAN_EXECUTOR_TOKEN=dop_v1_executor\n",
		"SLACK_BOT_TOKEN=\n", "SLACK_BOT_TOKEN=xoxb-sim\n", "SLACK_APP_TOKEN=\n", "SLACK_APP_TOKEN=xapp-sim\n")
}

func (w *stranger) edit(name string, pairs ...string) {
	w.t.Helper()
	w.replace(filepath.Join(w.folder, name), pairs...)
}

// replace changes words of a file; each must be there.
func (w *stranger) replace(file string, pairs ...string) {
	w.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		w.t.Fatal(err)
	}
	out := string(text)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(out, pairs[i]) {
			w.t.Fatalf("%s does not hold %q", file, pairs[i])
		}
		out = strings.Replace(out, pairs[i], pairs[i+1], 1)
	}
	w.put(file, out, info.Mode())
}

func (w *stranger) put(file, text string, mode os.FileMode) {
	w.t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
}

// audit looks at what stands after all was followed: the service as its own user under its sandbox, and samples of the
// agent that the pages installed.
func (w *stranger) audit() {
	w.t.Helper()
	if w.followed < 12 {
		w.t.Errorf("only %d blocks were run: are they still found?", w.followed)
	}
	status := w.m.Exec(w.t, "cat", fmt.Sprintf("/proc/%d/status", w.m.MainPID(w.t, "dropleak.service")))
	for _, want := range []string{"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(status, want) {
			w.t.Errorf("the running service lacks %q:\n%s", want, status)
		}
	}
	if user := w.m.Exec(w.t, "stat", "-c", "%U", fmt.Sprintf("/proc/%d", w.m.MainPID(w.t, "dropleak.service"))); user != "dropleak" {
		w.t.Errorf("the service runs as %s", user)
	}
	testbed.Eventually(w.t, testbed.Patience, func() error {
		said, err := w.m.Command("runuser", "-u", "dropleak", "--", "/usr/local/bin/dropleak", "sources", "--config", "/etc/dropleak/dropleak.yaml").CombinedOutput()
		if err != nil || !strings.Contains(string(said), "agent") {
			return fmt.Errorf("no samples of the agent: %v\n%s", err, said)
		}
		return nil
	})
	if problems := w.m.Exec(w.t, "bash", "-c", "systemctl --failed --plain --no-legend | grep dropleak || true"); problems != "" {
		w.t.Errorf("failed units: %s", problems)
	}
}

// TestReadmeDemo runs the first two commands of the README: the page until it shows, the story to its end.
func TestReadmeDemo(t *testing.T) {
	first := blocks(t, "README.md")[0]
	lines := strings.Split(strings.TrimSpace(first.text), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[1], "go run ./cmd/dropleak demo --story") {
		t.Fatalf("the README begins with\n%s", first.text)
	}
	program := filepath.Join(t.TempDir(), "dropleak")
	command(t, "go", "build", "-buildvcs=false", "-o", program, "./cmd/dropleak")
	t.Run("story", func(t *testing.T) {
		said, err := exec.CommandContext(t.Context(), program, "demo", "--story").CombinedOutput()
		t.Logf("%s", said)
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("page", func(t *testing.T) { demoPage(t, program) })
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+\S*`)

// demoPage starts the demo, opens the page it names, and presses Ctrl-C.
func demoPage(t *testing.T, program string) {
	ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
	defer cancel()
	p := testbed.Start(t, "demo", t.TempDir(), exec.CommandContext(ctx, program, "demo", "--listen", "127.0.0.1:0"))
	testbed.Eventually(t, testbed.Patience, func() error {
		page := address.FindString(p.Log())
		if page == "" {
			return fmt.Errorf("no address is printed:\n%s", p.Log())
		}
		resp, err := http.Get(page)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", page, resp.Status)
		}
		return nil
	})
	if err := syscall.Kill(p.PID(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited():
	case <-time.After(time.Minute):
		t.Error("the demo does not end on Ctrl-C")
	}
}
