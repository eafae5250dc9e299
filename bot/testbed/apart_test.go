package testbed

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/prometheus/procfs"
)

// TestApartSeesOnlyItsOwn: of all processes of this machine, a test that plays apart sees itself and what it started.
func TestApartSeesOnlyItsOwn(t *testing.T) {
	Start(t, "neighbour", Folder(t), exec.Command("sleep", "1000"))
	if Apart(t, "BED_TOLD=so") {
		return
	}
	if os.Getenv("BED_TOLD") != "so" {
		t.Error("the environment was not passed on")
	}
	seen, err := procfs.AllProcs()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range seen {
		if stat, err := p.Stat(); err == nil && p.PID != os.Getpid() && stat.PPID != os.Getpid() {
			t.Errorf("sees pid %d, %s", p.PID, stat.Comm)
		}
	}
	if len(seen) != 2 || os.Getpid() != 1 {
		t.Errorf("pid %d sees %d processes, want itself and its neighbour", os.Getpid(), len(seen))
	}
}

// failing makes TestFailsApart do so.
const failing = "BED_FAILING"

// TestFailsApart is what TestApartTellsFailures plays. By itself it does nothing.
func TestFailsApart(t *testing.T) {
	how := os.Getenv(failing)
	if how == "" || Apart(t) {
		return
	}
	switch how {
	case "fail":
		t.Error("wrong inside")
	case "skip":
		t.Skip("not today")
	case "exit":
		os.Exit(0)
	}
}

func TestApartTellsFailures(t *testing.T) {
	for how, want := range map[string]string{"fail": "wrong inside", "skip": "did not run to its end", "exit": "did not run to its end"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFailsApart$", "-test.v")
		cmd.Env = append(os.Environ(), failing+"="+how)
		said, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(said), "--- FAIL: TestFailsApart") || !strings.Contains(string(said), want) {
			t.Errorf("%s: %v; it is to fail and say %q:\n%s", how, err, want, said)
		}
	}
}
