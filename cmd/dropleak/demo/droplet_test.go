package demo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/agent/manager"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/procfs"
)

// Cleanup is called after all tests.
var Cleanup = func() {}

// TestMain plays the parts that the tests start this very binary for.
func TestMain(m *testing.M) {
	if code, played := Part(context.Background()); played {
		os.Exit(code)
	}
	code := m.Run()
	Cleanup()
	os.Exit(code)
}

// town starts the supervisord and waits until its workers run.
func town(t *testing.T, f Fault) (*world, *manager.Supervisor) {
	t.Helper()
	w := &world{o: Options{Fault: f, Talk: t.Output()}, dir: t.TempDir(), began: time.Now()}
	if err := w.startWorkers(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.super.kill)
	m, err := manager.DialSupervisor("", supervisordSettings{Dir: w.dir}.config())
	if err != nil {
		t.Fatal(err)
	}
	testbed.Eventually(t, testbed.Patience, func() error {
		for _, p := range programs() {
			if st, err := m.State(t.Context(), p.Name); err != nil || !st.Running {
				return errors.Join(err, errors.New(p.Name+" is "+st.Word))
			}
		}
		return nil
	})
	return w, m
}

// The agent's own eyes and hands work on the droplet.
func TestDroplet(t *testing.T) {
	w, m := town(t, NoRecovery)
	nodes, err := procfs.New(w.droplet, nil).Nodes(time.Now())
	if err != nil || len(nodes) != len(programs()) {
		t.Fatalf("the agent sees %+v, %v", nodes, err)
	}
	for _, n := range nodes {
		if n.Manager != "supervisor" || n.Pool != "solo" || n.Unit != n.Worker || !strings.HasSuffix(n.Node, "@"+dropletName) {
			t.Errorf("the agent sees %+v", n)
		}
	}
	before, err := w.life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st, err := m.State(t.Context(), leaker); err != nil || !st.StartsAgain || st.StopTimeout != stopSeconds*time.Second {
		t.Errorf("%+v, %v", st, err)
	}
	if err := m.Stop(t.Context(), leaker); err != nil {
		t.Fatal(err)
	}
	if st, err := m.State(t.Context(), leaker); err != nil || st.Running || resident(before.PID) != 0 {
		t.Errorf("stopped, it is %+v, %v", st, err)
	}
	if err := errors.Join(m.Stop(t.Context(), leaker), m.Start(t.Context(), leaker), m.Start(t.Context(), leaker)); err != nil {
		t.Errorf("repeated: %v", err)
	}
	after, err := w.life(t.Context())
	if err != nil || after.PID == before.PID || after.Start == before.Start || after.Bytes < before.Bytes {
		t.Errorf("after the restart %+v, before %+v, %v; it was to take the memory again", after, before, err)
	}
	if err := m.Start(t.Context(), "nobody"); !errors.Is(err, manager.ErrNoUnit) {
		t.Errorf("start nobody: %v", err)
	}
}

// A worker that dies by itself is started again.
func TestAutoRestart(t *testing.T) {
	w, m := town(t, "")
	before, err := w.life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Terminate(t.Context(), leaker); err != nil {
		t.Fatal(err)
	}
	testbed.Eventually(t, testbed.Patience, func() error {
		now, err := w.life(t.Context())
		if err == nil && (now.PID == 0 || now.PID == before.PID) {
			err = errors.New("it does not run again")
		}
		return err
	})
}

// Nobody else's processes are on the droplet.
func TestDropletHidesTheMachine(t *testing.T) {
	d := newDroplet(1 << 30) // no such process
	entries, err := fs.ReadDir(d, ".")
	if err != nil || len(entries) != 0 {
		t.Errorf("lists %v, %v", entries, err)
	}
	self := strconv.Itoa(os.Getpid())
	for _, name := range []string{self + "/cmdline", self + "/environ", "1/stat", "self/cmdline", "thread-self/stat", "vmstat", "kmsg"} {
		if _, err := d.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opens %s: %v", name, err)
		}
	}
	if _, err := fs.ReadDir(d, self+"/fd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lists descriptors: %v", err)
	}
	if _, err := fs.ReadLink(d, filepath.Join(self, "exe")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reads a link: %v", err)
	}
	for name, want := range map[string]string{"meminfo": "MemTotal: 1048576 kB", "sys/kernel/hostname": dropletName} {
		if text, err := fs.ReadFile(d, name); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
}

func TestHeapIsBounded(t *testing.T) {
	for held, want := range map[int64]float64{0: 1, easy: 1, (easy + most) / 2: 0.5, most: 0, 2 * most: 0} {
		if got := braked(held); got != want {
			t.Errorf("at %d MiB it leaks %.2f of its pace, want %.2f", held/mib, got, want)
		}
	}
	h := &heap{}
	defer h.free()
	before := resident(os.Getpid())
	if err := h.grow(33 * mib); err != nil {
		t.Fatal(err)
	}
	if grown := resident(os.Getpid()) - before; h.held != 33*mib || grown < 30*mib {
		t.Errorf("holds %d MiB, resident grew by %d MiB", h.held/mib, grown/mib)
	}
}
