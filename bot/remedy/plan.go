package remedy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/restart"
)

// Plan is what a run is going to do, to exactly what. An approval is bound
// to it: whatever it names must still be so at the click, and again just
// before the restart.
type Plan struct {
	DropletID  int64             `json:"droplet_id"`
	Droplet    string            `json:"droplet"` // name
	Worker     string            `json:"worker"`
	Way        restart.Way       `json:"way"`
	Unit       order.Unit        `json:"unit,omitzero"`
	Life       order.Fingerprint `json:"life"` // the main process it may end
	ConfigHash string            `json:"config_hash"`
}

// Choice is how the configuration wants a worker restarted.
type Choice struct {
	Way        restart.Way
	Unit       order.Unit // zero: the one its manager names
	ConfigHash string     // over the keys the choice came from
}

// NoWay is the error of [Deps.Choose] that says that, as things stand, there
// is no way to restart a worker.
type NoWay struct{ Why string }

// Error implements error.
func (e *NoWay) Error() string { return e.Why }

// Title names the plan's subject for people.
func (p Plan) Title() string {
	name := p.Droplet
	if name == "" {
		name = strconv.FormatInt(p.DropletID, 10)
	}
	return p.Worker + " on " + name
}

// target is the plan as a restarter takes it.
func (p Plan) target(run string, notAfter time.Time) restart.Target {
	return restart.Target{Run: run, DropletID: p.DropletID, Worker: p.Worker, Unit: p.Unit, Way: p.Way,
		Expect: p.Life, NotAfter: notAfter}
}

// moved says in words what of the plan is no longer so.
func (p Plan) moved(f order.Facts, c Choice) []string {
	var out []string
	add := func(differs bool, format string, args ...any) {
		if differs {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	now := f.Fingerprint
	add(now.BootID != p.Life.BootID, "the droplet was booted meanwhile")
	if now.BootID == p.Life.BootID {
		add(!now.Same(p.Life), "the worker's main process is another: pid %d since %s, was pid %d since %s",
			now.PID, moment(now.Start), p.Life.PID, moment(p.Life.Start))
	}
	add(!p.Way.WholeDroplet() && f.Unit != p.Unit, "the worker runs in unit %s, was %s", f.Unit, p.Unit)
	add(c.Way != p.Way, "the configuration restarts it by %s, was %s", c.Way, p.Way)
	add(c.ConfigHash != p.ConfigHash, "the configuration of this worker was changed")
	return out
}

// moment writes a moment within a sentence. Sentences are stored and read by
// people in any zone: whoever shows one puts its moments into the reader's.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// minute is [moment] where nothing depends on the seconds.
func minute(t time.Time) string { return moment(t.Truncate(time.Minute)) }

// snapshotName is unique for the run, and says whose it is.
func snapshotName(worker, run string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.', r == '_':
			return r
		}
		return '-'
	}, worker)
	return snapshotPrefix + clean[:min(len(clean), 60)] + "-" + run
}

// snapshotPrefix marks snapshots that dropleak made. It never touches others.
const snapshotPrefix = "dropleak-"
