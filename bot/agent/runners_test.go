package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/testbed"
)

// underProbe runs a program of testdata with the shipped probe, told of what
// kind to be, and returns what it prints.
func underProbe(t *testing.T, program, kind string) string {
	t.Helper()
	probe, err := filepath.Abs("../../configs/celery")
	must(t, err)
	cmd := exec.Command("/usr/bin/python3", filepath.Join("testdata", program), kind)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+probe, "PYTHONDONTWRITEBYTECODE=1",
		"DROPLEAK_PROBE_SOCKET="+filepath.Join(testbed.Folder(t), "probe.sock"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, kind, err, out)
	}
	return strings.Join(strings.Split(strings.TrimSpace(string(out)), "\n"), ", ")
}

// TestWhoRunsATask: a task is counted, and is over, though the first import of
// greenlet while it ran changed who runs it; an end whose beginning was not
// seen is not counted, and a beginning whose end was not told does not count as
// running on. Told are the task, its name, how often it ran, how often beside
// another, and how many run on.
func TestWhoRunsATask(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"imports": "a app.task 1 0 0, c app.task 2 0 0, d app.task 3 0 0",
		"beside":  "a app.task 1 1 1, other app.task 2 1 0, c app.task 3 1 0, d app.task 4 1 0",
		"unseen":  "a none none none 0, c app.task 1 0 0, d app.task 2 0 0",
		"untold":  "b none none none 0, c app.task 1 0 0, d app.task 2 0 0",
	} {
		if got := underProbe(t, "runners.py", kind); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
}

// TestTwoThreadsReap: where two threads come to a fork that has ended, the
// one that is late kills nobody, least of all the worker's process group; and
// one alone looks at a time.
func TestTwoThreadsReap(t *testing.T) {
	t.Parallel()
	for by, want := range map[string]string{"reap": "waited 2 child 0 locked False", "between": "waited 1 child 0 locked False"} {
		if got := underProbe(t, "reaps.py", by); got != want {
			t.Errorf("%s: %s, want %s", by, got, want)
		}
	}
}
