package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
)

// classic is one of the classic leaks, how a worker gets it, and the row that
// names its type or resource as grown.
type classic struct {
	name, pool string
	amount     int // of the task's argument
	every      time.Duration
	row        string
}

func (c classic) task() string { return "leaks." + c.name }

var classics = []classic{
	{"cache", "prefork", 20, 100 * time.Millisecond, `types +\+\d+ +\d+ +cache\.Invoice`},
	{"cycles", "solo", 20, 100 * time.Millisecond, `cycles +\+\d+ +\d+ +cycles\.Node`},
	{"files", "threads", 1, 300 * time.Millisecond, `files +\+\d+ +\d+ +file`},
	{"native", "gevent", 1, 100 * time.Millisecond, `malloc +\+\d{6,} +\d+ +bytes taken from the system`},
}

// TestHeapStory follows docs/sources/probe.md: real workers with the four
// classic leaks, the probe as it is printed, the real agent and service, and the
// answer to whoever asks, which names what leaks in each. Its way into a
// finding's thread is TestStoryEventlet's.
func TestHeapStory(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 36)
	w.faster(480)
	app := testbed.Celery(t, testbed.Redis(t))
	w.follow("probe.md", "print", ">dropleak_probe.py", ">"+filepath.Join(app.Dir, "dropleak_probe.py"))
	socket := filepath.Join(testbed.Folder(t), "probe.sock")
	var programs []testbed.Program
	var units []string
	for _, c := range classics {
		w.leaking(app, c)
		programs = append(programs, probed(app, c, socket))
		units = append(units, "supervisor:"+c.name)
	}
	super := testbed.Supervisor(t, programs...)
	w.dropletFollows(func() []int { return []int{super.PID()} })
	w.serve()
	w.startAgent(strings.Join(units, ","), "--probe", socket)
	for _, c := range classics {
		app.Feed(t, testbed.Load{Task: c.task(), Amount: c.amount, Every: c.every, Queue: c.name})
		app.Feed(t, testbed.Load{Task: "leaks.none", Amount: 1, Every: 300 * time.Millisecond, Queue: c.name})
	}
	for _, c := range classics {
		w.ask(c.name, regexp.MustCompile(`(?m)^`+c.row+`$`))
	}
	w.secretsKept()
}

// leaking writes the application of one leak: the page's lines, and the tasks.
func (w *town) leaking(app *testbed.CeleryApp, c classic) {
	w.t.Helper()
	tasks, err := os.ReadFile(filepath.Join("..", "..", "bot", "agent", "testdata", "leaks.py"))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(tasks), "broker=os.environ[\"BED_BROKER\"])\n")
	if !ok {
		w.t.Fatal("the tasks make no application")
	}
	w.write(filepath.Join(app.Dir, c.name+".py"), "import ctypes\nimport gc\nimport os\n"+passages(w.t, "probe.md", "app")+
		"\napp.conf.broker_url = os.environ[\"BED_BROKER\"]\n"+rest)
}

// probed is a worker under supervisor that runs one leak.
func probed(app *testbed.CeleryApp, c classic, socket string) testbed.Program {
	p := app.Program(c.name, testbed.Worker{Name: c.name + "@" + dropletName, Queue: c.name, Pool: c.pool, Concurrency: 1})
	for i, word := range p.Command {
		if word == "-A" {
			p.Command[i+1] = c.name
		}
	}
	p.Env["DROPLEAK_PROBE_SOCKET"] = socket
	return p
}

// ask runs the page's command about a worker until its answer has a row of what
// grew.
func (w *town) ask(worker string, what *regexp.Regexp) {
	w.t.Helper()
	testbed.Eventually(w.t, 2*testbed.Patience, func() error {
		said, err := w.shell(strings.Replace(passages(w.t, "probe.md", "ask"), " celery", " "+worker, 1)).CombinedOutput()
		if err == nil && !what.Match(said) {
			err = fmt.Errorf("it does not name %s", what)
		}
		if err != nil {
			return fmt.Errorf("probe ask: %w: %s", err, said)
		}
		return nil
	})
}
