package restart

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
)

// TestRestartDocker restarts a container and a compose service of a real
// docker, both of Debian's packages, for the worker in them and for no other.
func TestRestartDocker(t *testing.T) {
	if testbed.Apart(t) {
		return
	}
	b := newBed(t)
	d := testbed.Docker(t)
	b.write(filepath.Join(b.sshd.Sbin, "docker"), d.Client())
	b.write(filepath.Join(b.sshd.Sbin, "docker-compose"), d.Compose())
	words := []string{"run", "-d", "--name", "shop-worker-1", "--network", "host", "--stop-timeout", "21", "-v", b.app.Dir + ":" + b.app.Dir, "-w", b.app.Dir}
	for k, v := range b.app.Env() {
		words = append(words, "-e", k+"="+v)
	}
	d.Run(t, append(append(words, d.System()...), b.app.Command(testbed.Worker{Name: "shop@web-1", Pool: "solo"})...)...)
	t.Cleanup(func() { d.Run(t, "rm", "-f", "shop-worker-1") })
	d.ComposeFile(t, b.app.Dir, "worker", b.app.Env(), b.app.Command(testbed.Worker{Name: "video@web-1", Pool: "solo"}))
	compose := func(words ...string) string {
		t.Helper()
		said, err := exec.Command(filepath.Join(b.sshd.Sbin, "docker-compose"), append([]string{"--project-directory", b.app.Dir}, words...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("docker-compose %v: %v\n%s", words, err, said)
		}
		return strings.TrimSpace(string(said))
	}
	compose("up", "-d")
	t.Cleanup(func() { compose("kill") })
	service := "compose:" + b.app.Dir + ":worker"
	b.allow("docker:shop-worker-1", service)

	for _, c := range []struct {
		worker, run, unit string
		container         func() string
	}{
		{"shop@web-1", "d1", "docker:shop-worker-1", func() string { return "shop-worker-1" }},
		{"video@web-1", "d2", service, func() string { return compose("ps", "-q", "worker") }},
	} {
		wrong := b.targetOf("mail", c.run+"-wrong", c.unit)
		if f, err := b.way().Inspect(t.Context(), wrong, ""); err != nil || f.Refused[order.Way(SSH)] == "" {
			t.Errorf("%s for another worker: %+v, %v", c.unit, f, err)
		}
		target := b.targetOf(c.worker, c.run, c.unit)
		f, err := b.way().Inspect(t.Context(), target, "")
		if err != nil || len(f.Ways) != 1 || f.StopTimeout != 21 {
			t.Errorf("%s: facts %+v, %v", c.unit, f, err)
		}
		receipt, err := b.way().Order(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		r := b.ends(target, receipt)
		if pid := d.Run(t, "inspect", "-f", "{{.State.Pid}}", c.container()); r.State != order.Done || fmt.Sprint(r.New.PID) != pid || r.New.PID == r.Old.PID {
			t.Errorf("%s: result %+v; the engine says pid %s", c.unit, r, pid)
		}
	}
}
