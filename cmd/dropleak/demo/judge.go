package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/agent/manager"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// life is a process as the kernel and the supervisord have it.
type life struct {
	PID   int
	Start string // ticks since boot
	Bytes int64
}

// life asks who runs the leaking worker now.
func (w *world) life(ctx context.Context) (life, error) {
	m, err := manager.DialSupervisor("", supervisordSettings{Dir: w.dir}.config())
	if err != nil {
		return life{}, err
	}
	st, err := m.State(ctx, leaker)
	if err != nil {
		return life{}, err
	}
	return life{st.PID, started(st.PID), resident(st.PID)}, nil
}

// evidence is what the journals say of a story.
type evidence struct {
	outcome       remedy.Outcome
	approved      bool // Slack delivered the approver's click and got its ack
	refused       bool // the same of the click of somebody who may not
	posts         int  // orders to DigitalOcean to act
	completed     []time.Time
	snapshots     int
	claims        []claim
	spawns        int // times the supervisord started the worker
	before, after life
	run           workflow.Run
	runs          int
	recovery      detector.Recovery
	unmodelled    int
	crash         *time.Time
}

// judge gathers the evidence, prints what each question comes to, and
// returns an error unless all are answered well.
func (w *world) judge(ctx context.Context, before life, ended slacksim.Message) error {
	e := evidence{before: before}
	e.outcome, _ = outcomeOf(ended)
	for _, gather := range []func(context.Context, *evidence) error{w.fromSlack, w.fromCloud, w.fromDroplet, w.fromStore} {
		if err := gather(ctx, &e); err != nil {
			return fmt.Errorf("judge the story: %w", err)
		}
	}
	if w.o.Fault == Crash {
		e.crash = w.service.crashed.Load()
	}
	w.tell("by the journals", "")
	bad, all := 0, e.checks(w.o.Fault)
	for _, c := range all {
		mark := "ok"
		if !c.ok {
			mark = "NO"
			bad++
		}
		fmt.Fprintf(w.o.Out, "    %s  %s\n", mark, c.says)
	}
	if bad == 0 {
		w.tell("the story is told", "")
		return nil
	}
	return fmt.Errorf("the run ended with %q: %d of %d statements above do not hold", e.outcome.Words(), bad, len(all))
}

// check is a statement about a story, and whether it is true.
type check struct {
	says string
	ok   bool
}

// checks are all statements that must be true.
func (e evidence) checks(f Fault) []check {
	claimed := len(e.claims) == 1
	out := []check{
		{"a click of somebody who may not was carried by Slack and refused", e.refused},
		{"the approver's click was carried by Slack's own wire and acked", e.approved},
		{fmt.Sprintf("exactly one snapshot was ordered and made (%d ordered, %d made)", e.posts, e.snapshots), e.posts == 1 && e.snapshots == 1},
		{fmt.Sprintf("exactly one restart order was given to the agent (%d) and carried out (%d)", len(e.claims), e.spawns-1),
			claimed && e.spawns == 2 && e.runs == 1 && e.claims[0].Key == e.run.ID},
		{"the snapshot was complete before the restart order was claimed" + e.gap(),
			claimed && len(e.completed) == 1 && e.completed[0].Before(e.claims[0].At)},
		{fmt.Sprintf("the main process is another: pid %d → %d, start %s → %s ticks", e.before.PID, e.after.PID, e.before.Start, e.after.Start),
			e.after.PID != 0 && e.after.PID != e.before.PID && e.after.Start != e.before.Start},
		{fmt.Sprintf("memory was freed: the detector says %s; /proc says %s → %s", orNothing(string(e.recovery)), report.Bytes(float64(e.before.Bytes)), report.Bytes(float64(e.after.Bytes))),
			e.recovery == detector.DidRecover && e.after.Bytes < e.before.Bytes},
		{fmt.Sprintf("Slack shows that memory is freed and the worker working (%s)", e.outcome.Words()), e.outcome == remedy.FreedWorking},
		{fmt.Sprintf("every request to DigitalOcean was one it knows (%d were not)", e.unmodelled), e.unmodelled == 0},
	}
	if f == Crash {
		out = append(out, check{"the service was killed between snapshot and restart",
			e.crash != nil && claimed && len(e.completed) == 1 && e.crash.After(e.completed[0]) && e.crash.Before(e.claims[0].At)})
	}
	return out
}

func (e evidence) gap() string {
	if len(e.claims) == 0 || len(e.completed) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.3f s earlier)", e.claims[0].At.Sub(e.completed[0]).Seconds())
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// fromSlack reads who clicked and whose click was acked.
func (w *world) fromSlack(_ context.Context, e *evidence) error {
	acked := map[string]bool{}
	journal := w.slack.Journal()
	for _, x := range journal {
		if x.Kind == slacksim.Acked && x.Error == "" {
			acked[x.ID] = true
		}
	}
	for _, x := range journal {
		if x.Kind != slacksim.Deliver || !acked[x.ID] || !strings.Contains(string(x.Body), `"action_id":"`+report.ActionRestart+`"`) {
			continue
		}
		e.approved = e.approved || x.User == anna
		e.refused = e.refused || x.User == carla
	}
	return nil
}

// fromCloud reads what DigitalOcean was ordered to do and what it did.
func (w *world) fromCloud(_ context.Context, e *evidence) error {
	for _, x := range w.cloud.Requests("POST", "/v2/droplets/") {
		if strings.HasSuffix(x.Path, "/actions") {
			e.posts++
		}
	}
	for _, x := range w.cloud.Entries(dosim.KindActionCompleted) {
		e.completed = append(e.completed, x.At)
	}
	e.snapshots = len(w.cloud.Entries(dosim.KindSnapshotCreated))
	e.unmodelled = len(w.cloud.Unmodelled())
	return nil
}

// fromDroplet reads what happened on the droplet.
func (w *world) fromDroplet(ctx context.Context, e *evidence) (err error) {
	e.claims = w.tap.restarts()
	log, err := os.ReadFile(filepath.Join(w.dir, "supervisord.log"))
	if err != nil {
		return err
	}
	e.spawns = strings.Count(string(log), "spawned: "+leaker+" ")
	e.after, err = w.life(ctx)
	return err
}

// fromStore reads what the run learned.
func (w *world) fromStore(ctx context.Context, e *evidence) (err error) {
	st, err := w.store(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	runs, err := st.Runs(ctx, workflow.Filter{Recipe: remedy.Recipe})
	if err != nil {
		return err
	}
	if e.runs = len(runs); e.runs == 0 {
		return nil
	}
	e.run = runs[len(runs)-1]
	var learned struct {
		Life *remedy.Life `json:"life"`
	}
	if err := json.Unmarshal(e.run.Data, &learned); err != nil {
		return fmt.Errorf("read run %s: %w", e.run.ID, err)
	}
	if learned.Life != nil {
		e.recovery = learned.Life.Recovery
	}
	return nil
}
