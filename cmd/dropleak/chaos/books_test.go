package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// How long things go wrong in a town, how long nothing at all may then go on
// in it before what has not ended counts as lost, and how long it may take
// with everything: a busy machine makes a run late, which is not lost.
const (
	stormy = 45 * time.Second
	calm   = 3 * time.Minute
	ages   = 20 * time.Minute
)

// play runs one town from its first command to its audit.
func play(t *testing.T, seed uint64, engine store.Engine, n int) tally {
	w := newTown(t, seed, engine, n)
	ctx, stop := context.WithCancel(t.Context())
	storm, clear := context.WithTimeout(ctx, stormy)
	defer clear()
	crowd, leave := context.WithCancel(ctx)
	defer leave()
	var loops, people, spooks sync.WaitGroup
	for _, a := range w.agents {
		loops.Go(func() { a.ship(ctx) })
		loops.Go(func() { a.serve(ctx) })
		people.Go(func() { w.want(crowd, a) })
	}
	loops.Go(func() { w.eavesdrop(ctx) })
	loops.Go(func() { w.misbehave(storm) })
	spooks.Go(func() { w.haunt(storm) })
	w.await(ctx, clear)
	spooks.Wait()
	leave()
	people.Wait()
	w.await(ctx, clear) // a command that was slow may have begun another run
	sum := w.audit(ctx)
	stop()
	loops.Wait()
	t.Logf("seed %d: %v in %v, killed %d times\n%s", seed, &sum, time.Since(w.began).Round(time.Second), total(w.kills), w.ledger)
	if len(sum.wrongs) > 0 || sum.lost > 0 {
		t.Fail() // so that the services' last words are printed too
		t.Logf("the channel:\n%s", w.channel())
	}
	return sum
}

// await returns when every agent's worker had a run and none lives, when no
// run has come from one step to the next for too long, or the time is over.
// The storm is cleared when all is done before its end.
func (w *town) await(ctx context.Context, clear func()) {
	deadline, cancel := context.WithTimeout(ctx, stormy+ages)
	defer cancel()
	steps, moved := "", time.Now()
	for rest := 0; rest < 8 && deadline.Err() == nil && time.Since(moved) < stormy+calm; {
		rest++
		now := ""
		for _, r := range w.runs() {
			now += r.r.ID + " " + r.r.Step + "\n"
			if r.r.Live() {
				rest = 0
			}
		}
		if now != steps {
			steps, moved = now, time.Now()
		}
		if len(w.byWorker()) < len(w.agents) {
			rest = 0
		}
		pause(deadline, 500*time.Millisecond)
	}
	clear()
}

// journey is a run with what the audit needs of its data.
type journey struct {
	r workflow.Run
	d struct {
		Plan         remedy.Plan `json:"plan"`
		SnapshotName string      `json:"snapshot_name"`
		Why          string      `json:"why"`
	}
}

// runs are all of the store's, newest first.
func (w *town) runs() (out []journey) {
	runs, err := w.store.Runs(context.Background(), workflow.Filter{Recipe: remedy.Recipe})
	if err != nil {
		w.t.Fatalf("reading runs: %v", err)
	}
	for _, r := range runs {
		j := journey{r: r}
		if err := json.Unmarshal(r.Data, &j.d); err != nil {
			w.t.Fatalf("reading run %s: %v", r.ID, err)
		}
		out = append(out, j)
	}
	return out
}

// byWorker are the runs of each worker, newest first.
func (w *town) byWorker() map[string][]journey {
	out := map[string][]journey{}
	for _, j := range w.runs() {
		out[j.d.Plan.Worker] = append(out[j.d.Plan.Worker], j)
	}
	return out
}

// audit compares the books of DigitalOcean, of the agents and of Slack with
// what the service says that it did.
func (w *town) audit(ctx context.Context) tally {
	sum := tally{outcomes: map[string]int{}, kills: w.kills, windows: len(w.hit)}
	runs := w.byWorker()
	for _, a := range w.agents {
		if len(runs[a.worker]) == 0 {
			sum.runs, sum.lost = sum.runs+1, sum.lost+1
			sum.wrong("%s: no run was ever begun", a.worker)
		}
		for _, j := range runs[a.worker] {
			w.auditRun(a, j, &sum)
		}
		w.auditDroplet(a, &sum)
		w.auditMessage(ctx, a, runs[a.worker], &sum)
	}
	w.auditSecrets(&sum)
	if said, err := w.run("audit", "verify"); err != nil {
		sum.wrong("the audit chain: %v: %s", err, said)
	}
	for _, e := range w.cloud.Unmodelled() {
		sum.wrong("DigitalOcean does not know %s %s", e.Method, e.Path)
	}
	return sum
}

// auditRun looks at one run: the counts and whether its outcome is true.
func (w *town) auditRun(a *agent, j journey, sum *tally) {
	sum.runs++
	sum.outcomes[j.r.Outcome]++
	until, end := time.Now(), "lives at "+j.r.Step
	if !j.r.Live() {
		until, end = j.r.Ended, fmt.Sprintf("ended %-12s", j.r.Outcome)
	}
	w.ledger += fmt.Sprintf("    %4.0fs to %4.0fs %s %s by %-10s %s %s\n", j.r.Created.Sub(w.began).Seconds(), until.Sub(w.began).Seconds(),
		j.r.ID, a.worker, j.d.Plan.Way, end, j.d.Why)
	outcome := remedy.Outcome(j.r.Outcome)
	if j.r.Live() {
		sum.lost++
		sum.wrong("run %s is still at %s: %s", j.r.ID, j.r.Step, j.r.Trouble)
		return
	}
	if outcome == remedy.Unclear {
		sum.toPerson++
		switch {
		case w.struck(j.r.ID):
		case w.stalled(j.r.ID):
			sum.stalls++
			w.ledger += fmt.Sprintf("         run %s went to a person: the machine kept its owner waiting in a sent window for longer than the lease\n", j.r.ID)
		default:
			w.ledger += fmt.Sprintf("         run %s went to a person, and no kill hit a sent window of it\n", j.r.ID)
		}
	}
	restarts := 0
	for _, d := range a.deeds() {
		if d.run == j.r.ID && d.did == "restart" {
			restarts++
		}
	}
	restarts += w.reboots(a, j)
	switch {
	case outcome == remedy.NotRunning && a.runs():
		sum.wrong("run %s says %s, and it runs", j.r.ID, outcome)
	case outcome.Restarted() && restarts == 0:
		sum.wrong("run %s says %s, and nothing was restarted", j.r.ID, outcome)
	case !outcome.Restarted() && outcome != remedy.Unclear && restarts > 0:
		sum.wrong("run %s says %s, and the worker was restarted", j.r.ID, outcome)
	}
}

// struck reports whether a kill fell into a sent window of a run.
func (w *town) struck(run string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.hit {
		if strings.HasPrefix(name, run+" ") {
			return true
		}
	}
	return false
}

// stalled reports whether a service lost a run in the middle of an act, by its
// own log: a machine that stalls for longer than the lease does to it what a
// kill does.
func (w *town) stalled(run string) bool {
	logs, err := filepath.Glob(filepath.Join(w.dir, "*.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatalf("reading a service's log: %v", err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "run laid down") && strings.Contains(line, "run="+run) && strings.Contains(line, " act ") &&
				strings.Contains(line, workflow.ErrFenced.Error()) {
				return true
			}
		}
	}
	return false
}

// reboots counts the reboots that were ordered while a run lived.
func (w *town) reboots(a *agent, j journey) (n int) {
	for _, e := range w.cloud.Entries(dosim.KindActionStarted) {
		if e.DropletID == a.id && e.ActionType == "reboot" && e.At.After(j.r.Created) && (j.r.Live() || e.At.Before(j.r.Ended)) {
			n++
		}
	}
	return n
}

// auditDroplet goes through everything that was done to a droplet. The runs
// are read after the deeds, so that whatever did them is among them.
func (w *town) auditDroplet(a *agent, sum *tally) {
	journal, deeds := w.cloud.Journal(), a.deeds()
	runs := w.byWorker()[a.worker]
	names := map[string]string{} // snapshot name of each run
	for _, j := range runs {
		names[j.r.ID] = j.d.SnapshotName
	}
	ordered, finished := map[string]int{}, map[string]time.Time{}
	restarted := map[string]int{}
	did := func(run string, at time.Time) {
		restarted[run]++
		if restarted[run] > 1 {
			sum.doubled++
			sum.wrong("run %s restarted %s %d times", run, a.worker, restarted[run])
		}
		if done, ok := finished[names[run]]; names[run] == "" || !ok || done.After(at) {
			sum.unsnapshotted++
			sum.wrong("run %s restarted %s at %s without a finished snapshot of its own", run, a.worker, at.Format(time.TimeOnly))
		}
	}
	var reboots []dosim.Entry
	for _, e := range journal {
		switch {
		case e.DropletID != a.id:
		case e.Kind == dosim.KindActionStarted && e.ActionType == "snapshot":
			if ordered[e.SnapshotName]++; ordered[e.SnapshotName] > 1 {
				sum.doubled++
				sum.wrong("snapshot %s was ordered %d times", e.SnapshotName, ordered[e.SnapshotName])
			}
		case e.Kind == dosim.KindSnapshotCreated:
			finished[e.SnapshotName] = e.At
		case e.Kind == dosim.KindActionStarted:
			reboots = append(reboots, e)
		}
	}
	for _, e := range reboots {
		did(runAt(runs, e.At), e.At)
	}
	for _, d := range deeds {
		if d.did == "restart" {
			did(d.run, d.at)
		}
	}
}

// runAt is the run that lived at a moment, or "".
func runAt(runs []journey, at time.Time) string {
	for _, j := range runs {
		if j.r.Created.Before(at) && (j.r.Live() || j.r.Ended.After(at)) {
			return j.r.ID
		}
	}
	return ""
}

// auditMessage waits until the last run's end is shown, without a button to
// approve it.
func (w *town) auditMessage(ctx context.Context, a *agent, runs []journey, sum *tally) {
	if len(runs) == 0 || runs[0].r.Live() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	err := w.slack.Wait(ctx, func() bool {
		newest := w.byWorker()[a.worker][0].r // a command that was slow may have begun another run
		if newest.Live() {
			return false
		}
		words := remedy.Outcome(newest.Outcome).Words()
		words = "*" + strings.ToUpper(words[:1]) + words[1:] + "*"
		for _, m := range w.slack.Messages(channel) {
			if text := m.PlainText(); m.Thread == "" && strings.Contains(text, a.worker) && strings.Contains(text, words) && !holds(m, "restart") {
				return true
			}
		}
		return false
	})
	if err != nil {
		sum.lost++
		sum.wrong("run %s of %s ended %s, and no message says so", runs[0].r.ID, a.worker, runs[0].r.Outcome)
	}
}

// auditSecrets searches logs, the store's files and all that Slack got.
func (w *town) auditSecrets(sum *tally) {
	secrets := []string{"dop_v1_", "xoxb-", "xapp-"}
	for _, a := range w.agents {
		secrets = append(secrets, a.secret)
	}
	look := func(place string, text []byte) {
		for _, s := range secrets {
			if bytes.Contains(text, []byte(s)) {
				sum.wrong("%s holds the secret %s…", place, s[:7])
			}
		}
	}
	for _, e := range w.slack.Journal() {
		look("Slack's "+e.Name, e.Body)
	}
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		look(path, text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // SQLite removes files as it goes
		sum.wrong("searching for secrets: %v", err)
	}
}

// channel is everything that stands in the channel, for a person.
func (w *town) channel() string {
	var b strings.Builder
	for _, m := range w.slack.Messages(channel) {
		fmt.Fprintf(&b, "--- %s\n%s\n", m.TS, m.PlainText())
	}
	return b.String()
}

func total(m map[string]int) (n int) {
	for _, k := range m {
		n += k
	}
	return n
}
