package chaos

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// What a town is made of.
const (
	channel = "C0OPS"
	anna    = "U0ANNA" // approver
	ben     = "U0BEN"  // approver
	carla   = "U0CARLA"
	scale   = 240 // one second counts as four minutes
	mib     = 1 << 20
	lease   = time.Second
	first   = 5000 // droplet id
)

// town is one store, its services, and the world around them.
type town struct {
	t        testing.TB
	dir      string
	program  string
	dsn      string
	cloud    *dosim.Sim
	slack    *slacksim.Sim
	store    *store.Store // beside the services
	replicas []*replica
	agents   []*agent

	mu    sync.Mutex
	rng   *rand.Rand
	trap  *trap
	asked map[int]*replica // by droplet: who ordered something of it last
	hit   map[string]bool  // "run act" whose sent window a kill fell into
	kills map[string]int

	began  time.Time
	ledger string // a line for each run, for people
}

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "dropleak-chaos-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "dropleak")
	if said, err := exec.Command("go", "build", "-o", program, "..").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build dropleak: %w\n%s", err, said)
	}
	return program, nil
})

// besides is how many towns live beside each other: they wait more than they
// work.
const besides = 5

// TestMain removes the program that [build] built.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(besides)); err != nil {
		fmt.Fprintln(os.Stderr, "test.parallel:", err)
		os.Exit(2)
	}
	code := m.Run()
	if program, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// newTown builds a town of n droplets and starts it. The folder that it lives
// in is prepared first.
func newTown(t testing.TB, seed uint64, engine store.Engine, n int, prepare ...func(dir string)) *town {
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	w := &town{t: t, dir: testbed.Folder(t), program: program, rng: rand.New(rand.NewPCG(seed, 0x63_68_61_6f_73)),
		asked: map[int]*replica{}, hit: map[string]bool{}, kills: map[string]int{}, began: time.Now()}
	for _, p := range prepare {
		p(w.dir)
	}
	w.cloud = dosim.New(dosim.Options{Seed: seed, TimeScale: scale, OnAction: w.onAction,
		Durations: map[string]time.Duration{"snapshot": 24 * time.Minute, "reboot": 2 * time.Minute}})
	w.cloud.AddToken("dop_v1_reader", dosim.ReaderScopes...)
	w.cloud.AddToken("dop_v1_executor", dosim.ExecutorScopes...)
	w.slack = slacksim.New(slacksim.Options{Seed: seed})
	if err := w.slack.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.slack.Close() })
	replicas := 1
	w.dsn = "sqlite:" + filepath.Join(w.dir, "data")
	if engine == store.Postgres {
		w.dsn, replicas = testbed.Database(t), 2
	}
	if w.store, err = store.Open(t.Context(), w.dsn, store.Options{Beside: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	for i := range n {
		w.settle(first + i)
	}
	for i := range replicas {
		w.replicas = append(w.replicas, w.newReplica(fmt.Sprint("r", i)))
	}
	return w
}

// settle adds a droplet with its agent.
func (w *town) settle(id int) {
	a := &agent{w: w, id: id, worker: fmt.Sprintf("w%d", id), reboots: w.roll(4) == 0, stumbles: w.roll(6) == 0}
	_, secret, err := hub.Create(w.t.Context(), w.store, hub.Token{Name: a.worker, Kind: hub.Agent, Droplet: fmt.Sprint(id)})
	if err != nil {
		w.t.Fatal(err)
	}
	a.move(secret)
	w.agents = append(w.agents, a)
	w.cloud.AddDroplet(dosim.Droplet{ID: id, Name: fmt.Sprintf("web-%d", id), Tags: []string{"dropleak"}, MemoryMiB: 4096})
}

// roll throws a die with n sides, by the town's seed.
func (w *town) roll(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// upTo is a random time below d.
func (w *town) upTo(d time.Duration) time.Duration {
	return time.Duration(w.roll(int(d/time.Millisecond))) * time.Millisecond
}

// replica is one service, started again after each kill.
type replica struct {
	w      *town
	name   string
	listen string
	config string
	env    []string

	mu      sync.Mutex
	process *testbed.Process // nil: dead
	born    int
}

// newReplica writes a service's configuration and starts it. Its DigitalOcean
// has an address of its own, so that the town knows who asks.
func (w *town) newReplica(name string) *replica {
	w.t.Helper()
	r := &replica{w: w, name: name, listen: freePort(w.t), config: filepath.Join(w.dir, name+".yaml")}
	api := httptest.NewServer(r)
	w.t.Cleanup(api.Close)
	var rules strings.Builder
	for _, a := range w.agents {
		if a.reboots {
			fmt.Fprintf(&rules, "  - {droplets: [%d], restart: reboot}\n", a.id)
		}
	}
	text := fmt.Sprintf(`listen: %s
metrics_listen: ""
data_dir: %s
digitalocean: {api_url: "%s", tag: dropleak}
slack: {api_url: "%s", channel: %s}
schedule: {scan: "@every 8m", report: "@every 365d"}
approvals: {approvers: [%s, %s], expires: 365d}
time_scale: %d
workers:
%s`, r.listen, filepath.Join(w.dir, "data"), api.URL, w.slack.APIURL(), channel, anna, ben, scale, rules.String())
	if rules.Len() == 0 {
		text = strings.TrimSuffix(text, "workers:\n")
	}
	if w.store.Engine() == store.Postgres {
		text = strings.Replace(text, "/data\n", "/data-"+name+"\n", 1)
	}
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	r.env = append(os.Environ(), "DIGITALOCEAN_ACCESS_TOKEN=dop_v1_reader", "DIGITALOCEAN_EXECUTOR_TOKEN=dop_v1_executor",
		"SLACK_BOT_TOKEN=xoxb-sim", "SLACK_APP_TOKEN=xapp-sim")
	if w.store.Engine() == store.Postgres {
		r.env = append(r.env, "DROPLEAK_STORE_DSN="+w.dsn)
	}
	r.start()
	return r
}

// start starts the service and waits until it is ready, or has been killed.
func (r *replica) start() {
	r.w.t.Helper()
	cmd := exec.Command(r.w.program, "serve", "--config", r.config, "--lease", lease.String())
	cmd.Env = r.env
	r.born++
	p := testbed.Start(r.w.t, fmt.Sprintf("%s-%d", r.name, r.born), r.w.dir, cmd)
	r.mu.Lock()
	r.process = p
	r.mu.Unlock()
	testbed.Eventually(r.w.t, testbed.Patience, func() error {
		select {
		case <-p.Exited():
			if r.alive() == nil {
				return nil // killed while it started
			}
			return fmt.Errorf("the service ended by itself:\n%s", p.Log())
		default:
		}
		resp, err := http.Get("http://" + r.listen + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", resp.Status)
		}
		return nil
	})
}

// alive is the running process, or nil.
func (r *replica) alive() *testbed.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process
}

// ServeHTTP is DigitalOcean as this replica sees it.
func (r *replica) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if rest, ok := strings.CutPrefix(req.URL.Path, "/v2/droplets/"); ok && req.Method == http.MethodPost {
		var id int
		if _, err := fmt.Sscanf(rest, "%d/actions", &id); err == nil {
			r.w.mu.Lock()
			r.w.asked[id] = r
			r.w.mu.Unlock()
			if r.w.at(beforeOrder, r, id) {
				panic(http.ErrAbortHandler) // who asked is dead
			}
		}
	}
	r.w.cloud.ServeHTTP(rw, req)
}

// onAction is told what DigitalOcean does. It is called before whoever
// ordered an action has the answer.
func (w *town) onAction(a dosim.Action) {
	w.mu.Lock()
	r := w.asked[a.DropletID]
	w.mu.Unlock()
	switch {
	case a.Status == "in-progress":
		w.at(afterOrder, r, a.DropletID)
	case a.Type == "snapshot" && a.Status == "completed":
		w.at(snapshotDone, r)
	case a.Status == "completed":
		w.agents[a.DropletID-first].booted()
	}
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

// run runs a command of dropleak beside the service.
func (w *town) run(args ...string) (string, error) {
	cmd := exec.Command(w.program, append(args, "--config", w.replicas[0].config)...)
	cmd.Env = w.replicas[0].env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}
