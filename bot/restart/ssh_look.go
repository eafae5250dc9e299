package restart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/shell"
	"github.com/dropleak/dropleak/detector/procfs"
)

// Inspect looks at what a restart would mean, as [Agent.Inspect] does.
func (s Shell) Inspect(ctx context.Context, t Target, _ string) (order.Facts, error) {
	far, err := s.Far(ctx, t.DropletID)
	if err != nil {
		return order.Facts{}, err
	}
	r, a, err := far.Look(ctx)
	if err != nil {
		return order.Facts{}, fmt.Errorf("inspecting %s: %w", t.Worker, err)
	}
	n, ok := nodeOf(r, t.Worker)
	if !ok {
		return order.Facts{}, fmt.Errorf("inspecting %s: no such worker runs on the droplet", t.Worker)
	}
	f := order.Facts{Fingerprint: lifeOf(n, a), Pool: n.Pool, Unit: unitOf(n), StopTimeout: -1, Ways: []order.Way{}, Refused: map[order.Way]string{}}
	if kib, err := strconv.ParseFloat(a.Get("disk"), 64); err == nil && kib > 0 {
		f.DiskUsed = kib * 1024
	}
	for _, other := range r.Nodes {
		if other.Worker == n.Worker || n.Unit != "" && other.Unit == n.Unit && other.Manager == n.Manager {
			f.Workers = append(f.Workers, other.Worker)
			f.Nodes = append(f.Nodes, told(other))
		}
	}
	if t.Way.WholeDroplet() {
		return f, nil
	}
	if why := s.manager(ctx, far, t, r, n, &f); why != "" {
		f.Refused[order.Way(SSH)] = why
		return f, nil
	}
	f.Allowed, f.Ways = true, []order.Way{order.Way(SSH)}
	return f, nil
}

// Evidence implements what runs ask before a restart: only an agent gathers it.
func (s Shell) Evidence(context.Context, Target) (order.Findings, error) {
	return order.Findings{}, errors.New("over SSH none is gathered: it takes an agent on the droplet")
}

// told is what people hear of a node before it is restarted.
func told(n procfs.Node) order.Node {
	out := order.Node{Worker: n.Worker, App: n.App, Pool: n.Pool, Beat: n.Beat}
	for _, m := range n.Members {
		if m.Role == "child" {
			out.Processes++
		}
	}
	return out
}

// manager fills in what the unit's manager says, and why it would not be
// restarted.
func (s Shell) manager(ctx context.Context, far Far, t Target, r procfs.Reading, n procfs.Node, f *order.Facts) string {
	found := f.Unit
	if t.Unit != (order.Unit{}) {
		f.Unit = t.Unit
	}
	switch {
	case f.Unit == (order.Unit{}):
		return "no manager of this worker was found: name its unit in the configuration, as in unit: docker:NAME"
	case managed(f.Unit) && found != (order.Unit{}) && found != f.Unit:
		return fmt.Sprintf("it runs in unit %s, not in %s", found, f.Unit)
	}
	a, err := far.Ask(ctx, "inspect", f.Unit.String())
	switch {
	case err != nil:
		return err.Error()
	case a.Get("refused") != "":
		return a.Get("why")
	}
	switch f.Unit.Kind {
	case order.SystemdUnit:
		return bySystemd(a, f)
	case order.SupervisorProgram:
		return bySupervisor(a)
	case order.DockerContainer:
		return byDocker(a.Get("docker"), n, f)
	case order.ComposeService:
		return byCompose(a, r, n, f)
	}
	return ""
}

// bySystemd reads what systemctl shows.
func bySystemd(a shell.Answer, f *order.Facts) string {
	shown := map[string]string{}
	for _, line := range a.All("systemd") {
		key, value, _ := strings.Cut(line, "=")
		shown[key] = value
	}
	if shown["LoadState"] != "loaded" || shown["ActiveState"] != "active" {
		return fmt.Sprintf("systemd has the unit %s as %q, %q", f.Unit.Name, shown["LoadState"], shown["ActiveState"])
	}
	f.KillMode, f.AutoRestart = shown["KillMode"], shown["Restart"]
	if signal := shown["KillSignal"]; signal == "15" {
		f.StopSignal = "SIGTERM"
	}
	switch d, err := timespan(shown["TimeoutStopUSec"]); {
	case shown["TimeoutStopUSec"] == "infinity":
		f.StopTimeout = 0
	case err == nil && d > 0:
		f.StopTimeout = d.Seconds()
	}
	return ""
}

// units of systemd's time spans, see systemd.time(7).
var units = map[string]time.Duration{"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour,
	"d": 24 * time.Hour, "w": 7 * 24 * time.Hour}

// timespan reads a time span as systemd shows it: "1min 30s".
func timespan(s string) (time.Duration, error) {
	var sum time.Duration
	fields := strings.Fields(s)
	for _, f := range fields {
		i := strings.IndexFunc(f, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 {
			return 0, fmt.Errorf("time span %q: %q is no number with a unit", s, f)
		}
		n, err := strconv.ParseFloat(f[:i], 64)
		unit, ok := units[f[i:]]
		if err != nil || !ok || n*float64(unit) > float64(1<<62) {
			return 0, fmt.Errorf("time span %q: %q is no number with a unit", s, f)
		}
		sum += time.Duration(n * float64(unit))
	}
	if len(fields) == 0 || sum < 0 {
		return 0, fmt.Errorf("time span %q is empty or too long", s)
	}
	return sum, nil
}

// bySupervisor reads a line of supervisorctl status. It does not tell how
// long a stop may take.
func bySupervisor(a shell.Answer) string {
	line := a.Get("supervisor")
	if f := strings.Fields(line); len(f) < 2 || f[1] != "RUNNING" {
		return "supervisorctl says: " + line
	}
	return ""
}

// byDocker reads "STATUS PID STOPTIMEOUT POLICY": a container is restarted
// for the worker that runs in it, for no other.
func byDocker(line string, n procfs.Node, f *order.Facts) string {
	word := strings.Fields(line)
	if len(word) < 3 || word[0] != "running" {
		return "docker says: " + line
	}
	if pid, err := strconv.Atoi(word[1]); err != nil || pid != n.Main().PID && pid != n.Main().PPID {
		return fmt.Sprintf("the container %s runs pid %s, and the worker is pid %d", f.Unit.Name, word[1], n.Main().PID)
	}
	f.StopTimeout = 10 // docker's own default
	if seconds, err := strconv.ParseFloat(word[2], 64); err == nil && seconds >= 0 {
		f.StopTimeout = max(seconds, 0.001)
	}
	if len(word) > 3 {
		f.AutoRestart = word[3]
	}
	return ""
}

// byCompose reads such a line for each container of a service: one of them
// must be the worker's. The workers in the others are restarted with it.
func byCompose(a shell.Answer, r procfs.Reading, n procfs.Node, f *order.Facts) string {
	lines := a.All("docker")
	if len(lines) == 0 {
		return "compose says: " + strings.Join(a.All("compose"), " ")
	}
	why := fmt.Sprintf("no container of the service %s runs the worker, pid %d", f.Unit.Name, n.Main().PID)
	for _, line := range lines {
		for _, other := range r.Nodes {
			switch {
			case byDocker(line, other, &order.Facts{}) != "":
			case other.Worker == n.Worker:
				why = byDocker(line, n, f)
			case !slices.Contains(f.Workers, other.Worker):
				f.Workers, f.Nodes = append(f.Workers, other.Worker), append(f.Nodes, told(other))
			}
		}
	}
	return why
}
