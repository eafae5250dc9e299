package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// What the town is made of.
const (
	dropletID   = 4711
	dropletName = "web-1"
	channel     = "C0OPS"
	anna        = "U0ANNA" // approver
	ben         = "U0BEN"  // approver
	carla       = "U0CARLA"
	scale       = 240 // one second counts as four minutes
	mib         = 1 << 20
)

// town is a droplet with real Celery workers under a real manager, a real
// agent and the real service, between a simulated DigitalOcean and a
// simulated Slack.
type town struct {
	t       testing.TB
	dir     string
	cloud   *dosim.Sim
	slack   *slacksim.Sim
	listen  string
	config  string
	env     []string
	service *testbed.Process
	agent   *testbed.Process
	served  time.Time
	probe   string // the socket that the agent has the probe report to, where a worker has it
	programs
	// The workers' names are the town's own: others' workers may run on this
	// machine, and an agent sees all of them.
	mailer, video string

	mu       sync.Mutex
	onAction func(dosim.Action) // told of what DigitalOcean does
}

// tidy is called after all tests.
var tidy = func() {}

// programs are built once for all tests of the package.
type programs struct{ dropleak, agentProgram string }

// builtIn names the folder where another test binary has built them already.
const builtIn = "DROPLEAK_BUILT"

var buildOnce = sync.OnceValues(func() (programs, error) {
	if dir := os.Getenv(builtIn); dir != "" {
		return programsIn(dir), nil
	}
	dir, err := os.MkdirTemp("", "dropleak-build-")
	if err != nil {
		return programs{}, err
	}
	tidy = func() { _ = os.RemoveAll(dir) } // a leftover in /tmp is all that can come of it
	p := programsIn(dir)
	for out, pkg := range map[string]string{p.dropleak: ".", p.agentProgram: "../dropleak-agent"} {
		if said, err := exec.Command("go", "build", "-o", out, pkg).CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", pkg, err, said)
		}
	}
	return p, nil
})

func programsIn(dir string) programs {
	return programs{filepath.Join(dir, "dropleak"), filepath.Join(dir, "dropleak-agent")}
}

// apart plays a story whose agent or sources would see the workers of others
// in a process namespace of its own, beside other stories.
func apart(t *testing.T) (played bool) {
	t.Helper()
	return testbed.Apart(t, builtIn+"="+filepath.Dir(build(t).dropleak))
}

func build(t testing.TB) programs {
	t.Helper()
	p, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// freePort returns an address on loopback that nobody listens on, and that
// nobody gets by chance before it is used: it is below the ports that the
// kernel hands out by itself.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// newTown starts the two simulators and writes the configuration.
func newTown(t testing.TB, seed uint64) *town {
	w := &town{t: t, dir: testbed.Folder(t), programs: build(t), listen: freePort(t),
		mailer: fmt.Sprintf("mailer%d", seed), video: fmt.Sprintf("video%d", seed)}
	w.cloud = dosim.New(dosim.Options{Seed: seed, TimeScale: scale, Durations: map[string]time.Duration{"snapshot": 20 * time.Minute},
		OnAction: func(a dosim.Action) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.onAction != nil {
				w.onAction(a)
			}
		}})
	w.cloud.AddToken("dop_v1_reader", "monitoring:read", "droplet:read", "actions:read", "tag:read", "snapshot:read")
	w.cloud.AddToken("dop_v1_executor", "monitoring:read", "droplet:read", "actions:read", "tag:read", "snapshot:read",
		"droplet:update", "image:create", "image:delete", "snapshot:delete")
	api := httptest.NewServer(w.cloud)
	t.Cleanup(api.Close)
	w.slack = slacksim.New(slacksim.Options{Seed: seed})
	if err := w.slack.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.slack.Close() })
	w.config = filepath.Join(w.dir, "dropleak.yaml")
	w.write(w.config, fmt.Sprintf(`listen: %s
metrics_listen: ""
data_dir: %s
digitalocean: {api_url: "%s", tag: dropleak}
slack: {api_url: "%s", channel: %s}
schedule: {scan: "@every 10m", report: "@every 12h"}
approvals: {approvers: [%s, %s], expires: 14d}
time_scale: %d
`, w.listen, filepath.Join(w.dir, "data"), api.URL, w.slack.APIURL(), channel, anna, ben, scale))
	w.env = append(os.Environ(), "DIGITALOCEAN_ACCESS_TOKEN=dop_v1_reader", "DIGITALOCEAN_EXECUTOR_TOKEN=dop_v1_executor",
		"SLACK_BOT_TOKEN=xoxb-sim", "SLACK_APP_TOKEN=xapp-sim")
	return w
}

func (w *town) write(path, text string) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// dropletFollows adds the droplet; its memory follows the real processes.
func (w *town) dropletFollows(roots func() []int) {
	const total = 4096 * mib
	rec := &dosim.Recorder{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			rec.Observe(time.Now(), total-600*mib-held(roots()), total)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}, MemoryMiB: 4096, Memory: rec.Memory})
}

// held sums the resident memory of processes and their children, in bytes.
func held(roots []int) (sum int64) {
	procs, _ := filepath.Glob("/proc/[0-9]*/stat")
	parents := map[int]int{}
	for _, path := range procs {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		i := bytes.LastIndexByte(text, ')')
		var state string
		var ppid int
		if _, err := fmt.Sscan(string(text[i+1:]), &state, &ppid); err == nil {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			parents[pid] = ppid
		}
	}
	for pid := range parents {
		for p := pid; p > 1; p = parents[p] {
			if slices.Contains(roots, p) {
				sum += resident(pid)
				break
			}
		}
	}
	return sum
}

func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// run runs dropleak and returns what it printed.
func (w *town) run(args ...string) string {
	w.t.Helper()
	cmd := exec.Command(w.dropleak, args...)
	cmd.Env = w.env
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("dropleak %s: %v\n%s", strings.Join(args, " "), err, talk.String())
	}
	return strings.TrimSpace(string(out))
}

// serve starts the service and waits until it is ready.
func (w *town) serve() {
	w.t.Helper()
	cmd := exec.Command(w.dropleak, "serve", "--config", w.config)
	cmd.Env = w.env
	w.service = testbed.Start(w.t, "dropleak", w.dir, cmd)
	testbed.Eventually(w.t, testbed.Patience, func() error {
		resp, err := http.Get("http://" + w.listen + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", resp.Status)
		}
		return nil
	})
	w.served = time.Now()
}

// figures logs what docs/sources/README.md tells of a story: how long it took
// from the start of the service to the report, and of how many samples.
func (w *town) figures(worker string) {
	w.t.Helper()
	rows := strings.Count(w.run("export", "--config", w.config, "--worker", worker), "\n")
	if rows == 0 {
		w.t.Errorf("nothing is exported of %s", worker)
	}
	w.t.Logf("reported %.0f s after the start; %d samples of %s\n%s", time.Since(w.served).Seconds(), rows, worker, w.run("sources", "--config", w.config))
}

// startAgent starts the agent with a token of its own; allowed are the units
// it may restart.
func (w *town) startAgent(allowed string, more ...string) {
	w.t.Helper()
	flags := append(w.agentFlags(w.dir, w.dir, allowed), "--spool", filepath.Join(w.dir, "spool"))
	cmd := exec.Command(w.agentProgram, append(flags, more...)...)
	w.agent = testbed.Start(w.t, "agent", w.dir, cmd)
}

// agentFlags writes the agent's token into a folder that the agent sees as
// seen.
func (w *town) agentFlags(folder, seen, allowed string) []string {
	w.t.Helper()
	w.write(filepath.Join(folder, "agent.token"), w.run("token", "create", "--config", w.config, "--droplet", strconv.Itoa(dropletID), "--name", "web-1"))
	meta := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, dropletID) }))
	w.t.Cleanup(meta.Close)
	return []string{"--server", "http://" + w.listen, "--token-file", filepath.Join(seen, "agent.token"), "--every", "1s",
		"--allow", allowed, "--metadata-url", meta.URL, "--log-level", "debug"}
}

// await waits for a message that says all of the words, and returns it.
func (w *town) await(within time.Duration, what string, words ...string) slacksim.Message {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	m, err := w.slack.WaitFor(ctx, func(m slacksim.Message) bool { return says(m, words...) })
	if err != nil {
		w.t.Fatalf("%s: no message says %q: %v\n%s", what, words, err, w.state())
	}
	w.t.Logf("%s  %s\n%s", time.Now().Format("15:04:05"), what, indent(m.PlainText()))
	return m
}

func says(m slacksim.Message, words ...string) bool {
	text := m.PlainText()
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ")
}

// state is what to look at when the story stops.
func (w *town) state() string {
	var b strings.Builder
	for _, m := range w.slack.Messages(channel) {
		fmt.Fprintf(&b, "--- message %s\n%s\n", m.TS, indent(m.PlainText()))
	}
	fmt.Fprintf(&b, "--- service\n%s\n", w.service.Log())
	if w.agent != nil {
		fmt.Fprintf(&b, "--- agent\n%s\n", w.agent.Log())
	}
	return b.String()
}

// when has fn called at the next change of an action to a status, once.
func (w *town) when(status string, fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onAction = func(a dosim.Action) {
		if a.Status == status {
			w.onAction = nil
			fn()
		}
	}
}

// click presses a button of a message, as it stands now.
func (w *town) click(user string, m slacksim.Message, action string) {
	w.t.Helper()
	if err := w.slack.Click(user, m.Channel, m.TS, action); err != nil {
		w.t.Fatalf("click %s: %v\n%s", action, err, w.state())
	}
}
