package restart

import (
	"fmt"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/shell"
	"github.com/dropleak/dropleak/detector/procfs"
)

func said(name string, texts ...string) (a shell.Answer) {
	for _, t := range texts {
		a.Facts = append(a.Facts, shell.Fact{Name: name, Text: t})
	}
	return a
}

func TestTimespan(t *testing.T) {
	for text, want := range map[string]time.Duration{"1min 30s": 90 * time.Second, "20s": 20 * time.Second, "1h 5min 3.5s": time.Hour + 5*time.Minute + 3500*time.Millisecond,
		"500ms": 500 * time.Millisecond, "2d": 48 * time.Hour, "1w": 7 * 24 * time.Hour} {
		if got, err := timespan(text); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "infinity", "5", "s", "5x", "-5s", "9999999999999w", "1..2s"} {
		if got, err := timespan(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func FuzzTimespan(f *testing.F) {
	f.Add("1min 30s")
	f.Add("292277024627y")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := timespan(text); err == nil && d < 0 {
			t.Errorf("%q is %v", text, d)
		}
	})
}

func TestManagersWords(t *testing.T) {
	worker := procfs.Node{Worker: "mail", Members: []procfs.Member{{PID: 100, PPID: 90}}}
	both := procfs.Reading{Nodes: []procfs.Node{worker, {Worker: "video", Members: []procfs.Member{{PID: 70}}}}}
	shown := func(state, stop string) shell.Answer {
		return said("systemd", "LoadState=loaded", "ActiveState="+state, "TimeoutStopUSec="+stop, "KillMode=mixed", "KillSignal=15", "Restart=always")
	}
	for _, c := range []struct {
		name   string
		ask    func(*order.Facts) string
		refuse bool
		stop   float64
	}{
		{"systemd", func(f *order.Facts) string { return bySystemd(shown("active", "1min 30s"), f) }, false, 90},
		{"systemd waits for ever", func(f *order.Facts) string { return bySystemd(shown("active", "infinity"), f) }, false, 0},
		{"systemd does not tell", func(f *order.Facts) string { return bySystemd(shown("active", ""), f) }, false, -1},
		{"systemd stopped it", func(f *order.Facts) string { return bySystemd(shown("inactive", "20s"), f) }, true, -1},
		{"systemd has no such unit", func(f *order.Facts) string { return bySystemd(said("systemd", "LoadState=not-found"), f) }, true, -1},
		{"no systemd", func(f *order.Facts) string { return bySystemd(said("systemd", "sh: systemctl: not found"), f) }, true, -1},
		{"supervisor", func(*order.Facts) string {
			return bySupervisor(said("supervisor", "mail   RUNNING   pid 4, uptime 0:00:10"))
		}, false, -1},
		{"supervisor stopped it", func(*order.Facts) string { return bySupervisor(said("supervisor", "mail   STOPPED   Nov 22")) }, true, -1},
		{"no supervisor", func(*order.Facts) string { return bySupervisor(said("supervisor")) }, true, -1},
		{"docker", func(f *order.Facts) string { return byDocker("running 100 30 always", worker, f) }, false, 30},
		{"docker by default", func(f *order.Facts) string { return byDocker("running 90 <nil> no", worker, f) }, false, 10},
		{"another container", func(f *order.Facts) string { return byDocker("running 70 <nil> no", worker, f) }, true, -1},
		{"docker stopped it", func(f *order.Facts) string { return byDocker("exited 0 <nil> no", worker, f) }, true, -1},
		{"no docker", func(f *order.Facts) string {
			return byDocker("Error: No such container: mail", worker, f)
		}, true, -1},
		{"compose", func(f *order.Facts) string {
			return byCompose(said("docker", "running 70 20 no", "running 100 30 no"), both, worker, f)
		}, false, 30},
		{"compose runs others", func(f *order.Facts) string { return byCompose(said("docker", "running 70 20 no"), both, worker, f) }, true, -1},
		{"no compose", func(f *order.Facts) string {
			return byCompose(said("compose", "no such service: mail"), both, worker, f)
		}, true, -1},
	} {
		f := order.Facts{StopTimeout: -1}
		if why := c.ask(&f); (why != "") != c.refuse || f.StopTimeout != c.stop {
			t.Errorf("%s: refused %q, waits %g s, want refused %v, %g s", c.name, why, f.StopTimeout, c.refuse, c.stop)
		}
	}
}

// TestComposeTellsAll: a service is restarted whole, so the card names the
// workers of its other containers.
func TestComposeTellsAll(t *testing.T) {
	mail := procfs.Node{Worker: "mail", Members: []procfs.Member{{PID: 100}}}
	r := procfs.Reading{Nodes: []procfs.Node{mail, {Worker: "mail-2", Members: []procfs.Member{{PID: 70, PPID: 60}}}, {Worker: "video", Members: []procfs.Member{{PID: 50}}}}}
	f := order.Facts{Workers: []string{"mail"}}
	if why := byCompose(said("docker", "running 100 30 no", "running 60 30 no"), r, mail, &f); why != "" || fmt.Sprint(f.Workers) != "[mail mail-2]" || len(f.Nodes) != 1 {
		t.Errorf("%q, %+v", why, f)
	}
}

// TestOutcome: what runs now counts, whatever the command's end was.
func TestOutcome(t *testing.T) {
	old := order.Fingerprint{PID: 7, Start: noon}
	runs := func(pid int) procfs.Reading {
		return procfs.Reading{Nodes: []procfs.Node{{Worker: "mail", Members: []procfs.Member{{PID: pid, Start: noon}}}}}
	}
	for _, c := range []struct {
		name   string
		now    procfs.Reading
		code   int
		ago    time.Duration
		done   bool
		state  order.State
		reason order.Reason
	}{
		{"a new life", runs(8), 0, 0, true, order.Done, ""},
		{"a new life though the command failed", runs(8), 1, 0, true, order.Done, ""},
		{"not yet", procfs.Reading{}, 0, time.Minute, false, "", ""},
		{"never", procfs.Reading{}, 0, 2 * time.Minute, true, order.Failed, order.NotRunning},
		{"failed and down", procfs.Reading{}, 1, 0, true, order.Failed, order.NotRunning},
		{"failed and up", runs(7), 1, 0, true, order.Failed, order.ManagerError},
		{"the old one goes on for a while", runs(7), 0, time.Minute, false, "", ""},
		{"the old one goes on", runs(7), 0, 2 * time.Minute, true, order.Failed, order.ManagerError},
	} {
		r, done := outcome(Target{Worker: "mail", Expect: old}, c.now, shell.Answer{}, c.code, c.ago, "")
		if done != c.done || r.State != c.state || r.Reason != c.reason || done && c.state == order.Failed && r.Why == "" {
			t.Errorf("%s: %+v, done %v", c.name, r, done)
		}
	}
}
