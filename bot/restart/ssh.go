package restart

import (
	"context"
	"encoding/json"
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

// Far is one droplet at the other end of an SSH connection.
type Far interface {
	// Look takes a pass of its processes.
	Look(ctx context.Context) (procfs.Reading, shell.Answer, error)
	// Ask has words run there. A [*shell.Unsent] error says that nothing was.
	Ask(ctx context.Context, words ...string) (shell.Answer, error)
}

// Shell restarts through the script at the other end of an SSH connection,
// which remembers each run and begins its restart at most once.
type Shell struct {
	// Far finds the droplet; an error says that it is not reached over SSH.
	Far func(ctx context.Context, dropletID int64) (Far, error)
}

var _ Restarter = Shell{}

// Repeatable implements [Restarter]. The script would begin no run twice, but
// an answer that was lost is looked for, not asked for again: who answers now
// need not be who answered then.
func (Shell) Repeatable() bool { return false }

// taken is the receipt of an order: whether it was begun.
type taken struct {
	Refused order.Reason `json:"refused,omitempty"`
	Why     string       `json:"why,omitempty"`
}

// Order implements [Restarter]: it looks whether the very life that may end
// still runs, and has the script look again.
func (s Shell) Order(ctx context.Context, t Target) (json.RawMessage, error) {
	if !t.NotAfter.IsZero() && time.Now().After(t.NotAfter) {
		return nil, &Refusal{Err: fmt.Errorf("the order was good until %s", t.NotAfter.UTC().Format(time.RFC3339))}
	}
	far, err := s.Far(ctx, t.DropletID)
	if err != nil {
		return nil, &Refusal{Err: err}
	}
	r, a, err := far.Look(ctx)
	if err != nil {
		return nil, &Refusal{Busy: true, Err: err} // a look begins nothing
	}
	n, why := theOne(r, a, t)
	if why != "" {
		return json.Marshal(taken{order.Overtaken, why})
	}
	main := n.Main()
	a, err = far.Ask(ctx, "restart", t.Run, t.Unit.String(), strconv.Itoa(main.PID), strconv.FormatUint(main.Ticks, 10), t.Expect.BootID)
	var unsent *shell.Unsent
	switch {
	case errors.As(err, &unsent):
		return nil, &Refusal{Busy: true, Err: err}
	case err != nil:
		return nil, fmt.Errorf("order the restart of %s over SSH: %w", t.Unit, err)
	}
	switch reason := order.Reason(a.Get("refused")); {
	case reason == "" && a.Get("began") == "":
		return nil, fmt.Errorf("order the restart of %s over SSH: the answer does not say that it was begun", t.Unit)
	case reason == "refused":
		return json.Marshal(taken{order.Unsupported, a.Get("why")})
	default:
		return json.Marshal(taken{reason, a.Get("why")})
	}
}

// theOne finds the node of a target and says what keeps it from being the
// life that may end.
func theOne(r procfs.Reading, a shell.Answer, t Target) (procfs.Node, string) {
	n, ok := nodeOf(r, t.Worker)
	if !ok {
		return n, fmt.Sprintf("no worker %s runs on the droplet", t.Worker)
	}
	if now := lifeOf(n, a); !now.Same(t.Expect) {
		return n, fmt.Sprintf("worker %s runs as pid %d since %s, not as pid %d since %s", t.Worker, now.PID, now.Start.UTC().Format(time.RFC3339),
			t.Expect.PID, t.Expect.Start.UTC().Format(time.RFC3339))
	}
	if is := unitOf(n); managed(t.Unit) && is != (order.Unit{}) && is != t.Unit {
		return n, fmt.Sprintf("worker %s runs in unit %s, not in %s", t.Worker, is, t.Unit)
	}
	return n, ""
}

func nodeOf(r procfs.Reading, worker string) (procfs.Node, bool) {
	i := slices.IndexFunc(r.Nodes, func(n procfs.Node) bool { return n.Worker == worker })
	if i < 0 {
		return procfs.Node{}, false
	}
	return r.Nodes[i], true
}

func lifeOf(n procfs.Node, a shell.Answer) order.Fingerprint {
	return order.Fingerprint{PID: n.Main().PID, Start: n.Main().Start, BootID: a.BootID()}
}

func unitOf(n procfs.Node) order.Unit {
	switch n.Manager {
	case "systemd":
		return order.Unit{Kind: order.SystemdUnit, Name: n.Unit}
	case "supervisor":
		return order.Unit{Kind: order.SupervisorProgram, Name: n.Unit}
	}
	return order.Unit{}
}

// managed units are those that a process itself tells it runs in.
func managed(u order.Unit) bool {
	return u.Kind == order.SystemdUnit || u.Kind == order.SupervisorProgram
}

// Observe implements [Restarter]: the script remembers what it began.
func (s Shell) Observe(ctx context.Context, t Target, _ time.Time) ([]Sighting, error) {
	a, err := s.ask(ctx, t, "result", t.Run)
	if err != nil || a.Get("began") == "" {
		return nil, err
	}
	receipt, err := json.Marshal(taken{})
	return []Sighting{{Receipt: receipt, Certain: true}}, err
}

// ask is for words that begin nothing.
func (s Shell) ask(ctx context.Context, t Target, words ...string) (shell.Answer, error) {
	far, err := s.Far(ctx, t.DropletID)
	if err != nil {
		return shell.Answer{}, err
	}
	return far.Ask(ctx, words...)
}

// Result implements [Restarter].
func (s Shell) Result(ctx context.Context, t Target, receipt json.RawMessage) (Result, bool, error) {
	var got taken
	if len(receipt) > 0 {
		if err := json.Unmarshal(receipt, &got); err != nil {
			return Result{}, false, fmt.Errorf("reading the receipt of the restart of %s: %w", t.Unit, err)
		}
	}
	if got.Refused != "" {
		return Result{State: order.Refused, Reason: got.Refused, Why: got.Why, Old: t.Expect, Ended: time.Now()}, true, nil
	}
	a, err := s.ask(ctx, t, "result", t.Run)
	if err != nil {
		return Result{}, false, err
	}
	if a.Get("began") == "" {
		return Result{State: order.Unknown, Why: "the droplet remembers nothing of the restart", Old: t.Expect, Ended: time.Now()}, true, nil
	}
	code, ago, ended := endedOf(a)
	if !ended {
		return Result{}, false, nil
	}
	far, err := s.Far(ctx, t.DropletID)
	if err != nil {
		return Result{}, false, err
	}
	r, look, err := far.Look(ctx)
	if err != nil {
		return Result{}, false, err
	}
	out, done := outcome(t, r, look, code, ago, strings.Join(a.All("said"), " "))
	return out, done, nil
}

// endedOf reads "ended CODE SECONDS" of a result.
func endedOf(a shell.Answer) (code int, ago time.Duration, ended bool) {
	f := strings.Fields(a.Get("ended"))
	if len(f) != 2 {
		return 0, 0, false
	}
	code, err1 := strconv.Atoi(f[0])
	at, err2 := strconv.ParseInt(f[1], 10, 64)
	now, err3 := strconv.ParseInt(a.Get("now"), 10, 64)
	return code, time.Duration(max(now-at, 0)) * time.Second, errors.Join(err1, err2, err3) == nil
}

// seeAgain is how long a new main process may take to show.
const seeAgain = 90 * time.Second

// outcome judges an act that has ended by what runs now: the manager's word
// alone is not believed.
func outcome(t Target, r procfs.Reading, a shell.Answer, code int, ago time.Duration, said string) (Result, bool) {
	out := Result{State: order.Failed, Reason: order.ManagerError, Old: t.Expect, Ended: time.Now()}
	n, runs := nodeOf(r, t.Worker)
	life := order.Fingerprint{}
	if runs {
		life = lifeOf(n, a)
	}
	switch {
	case runs && !life.Same(t.Expect):
		return Result{State: order.Done, Old: t.Expect, New: life, Ended: time.Now()}, true
	case runs && code != 0:
		out.Why = fmt.Sprintf("the command ended with %d and said: %s; the old process runs on", code, said)
		return out, true
	case ago < seeAgain && code == 0:
		return Result{}, false
	case runs:
		out.Why = "the command ended well and the old process runs on"
		return out, true
	}
	out.Reason, out.Why = order.NotRunning, fmt.Sprintf("the command ended with %d, and no main process of the worker is seen. It said: %s", code, said)
	return out, true
}

// Start implements [Restarter].
func (s Shell) Start(ctx context.Context, t Target) error {
	a, err := s.ask(ctx, t, "start", t.Run, t.Unit.String())
	if err != nil {
		return err
	}
	if a.Get("refused") != "" {
		return &Refusal{Err: errors.New(a.Get("why"))}
	}
	return nil
}

// Void implements [Restarter]: what the droplet took is under way.
func (Shell) Void(context.Context, Target) (bool, error) { return false, nil }
