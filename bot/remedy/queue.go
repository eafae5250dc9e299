package remedy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/workflow"
)

// Queue is a set of workers that serve one queue: of the others, at least
// Keep are up when one of them is restarted, and one restarts at a time.
type Queue struct {
	Workers []string // globs over workers' names, as [path.Match] reads them
	Keep    int      // at least 1
}

// Title names the queue by its workers.
func (q Queue) Title() string { return strings.Join(q.Workers, ", ") }

// serves reports whether a worker of this name is one of the queue's.
func (q Queue) serves(worker string) (bool, error) {
	for _, glob := range q.Workers {
		ok, err := path.Match(glob, worker)
		if err != nil {
			return false, fmt.Errorf("reading %q of remediation.queues: %w", glob, err)
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}

// Peer is a worker of the fleet, as it stands now.
type Peer struct {
	finding.Subject        // Kind is empty
	Missing         string // why it cannot be counted on, as in "not seen since …"; empty: it is up
}

// shortage is a queue that a restart would leave with too few workers.
type shortage struct {
	Queue
	others  int      // known beside those that would restart
	missing []string // of these, each with why
	runs    []string // that are restarting some of them
}

// up is how many of the others can be counted on.
func (s shortage) up() int { return s.others - len(s.missing) }

// namedAtMost is how many missing workers a sentence names.
const namedAtMost = 3

// String says who is missing, or that waiting alone cannot help.
func (s shortage) String() string {
	need := fmt.Sprintf("at least %d other %s of %s must be up (remediation.queues)", s.Keep, plural(s.Keep, "worker"), s.Title())
	if s.others < s.Keep {
		known := fmt.Sprintf("only %d others are", s.others)
		switch s.others {
		case 0:
			known = "no other is"
		case 1:
			known = "only 1 other is"
		}
		return need + ", but " + known + " known: this cannot come true until more are there, or keep is lowered"
	}
	who := s.missing[:min(len(s.missing), namedAtMost)]
	if more := len(s.missing) - len(who); more > 0 {
		who = append(slices.Clone(who), fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%s, and %d of %d are: %s", need, s.up(), s.others, strings.Join(who, "; "))
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// touched reports whether what d does ends this worker too: it is the one, in
// its unit, or on the droplet that is rebooted.
func (d data) touched(p Peer) bool {
	if p.DropletID != strconv.FormatInt(d.Plan.DropletID, 10) {
		return false
	}
	return p.Worker == d.Plan.Worker || d.Plan.Way.WholeDroplet() || slices.Contains(d.Facts.Workers, p.Worker)
}

// queues are those that lose a worker to what d does.
func (s *Service) queues(d data, peers []Peer) (out []Queue, err error) {
	names := append([]string{d.Plan.Worker}, d.Facts.Workers...)
	for _, p := range peers {
		if d.touched(p) {
			names = append(names, p.Worker)
		}
	}
	for _, q := range s.c.Limits.Queues {
		for _, name := range names {
			ok, err := q.serves(name)
			if err != nil {
				return nil, err
			}
			if ok {
				out = append(out, q)
				break
			}
		}
	}
	return out, nil
}

// peers asks who is there. Nobody's answer is no permission.
func (s *Service) peers(ctx context.Context) ([]Peer, error) {
	if s.d.Peers == nil {
		return nil, errors.New("looking which workers are up: nobody tells")
	}
	peers, err := s.d.Peers(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking which workers are up: %w", err)
	}
	return peers, nil
}

// spared returns the queues that d's restart takes a worker from, and those of
// them that would keep too few now. Without rules it asks nobody.
func (s *Service) spared(ctx context.Context, d data) (of []Queue, short []shortage, err error) {
	if len(s.c.Limits.Queues) == 0 || d.Only {
		return nil, nil, nil
	}
	peers, err := s.peers(ctx)
	if err != nil {
		return nil, nil, err
	}
	if of, err = s.queues(d, peers); err != nil || len(of) == 0 {
		return nil, nil, err
	}
	acting, err := s.restarting(ctx, d.Run)
	if err != nil {
		return nil, nil, err
	}
	for _, q := range of {
		x, err := count(q, d, peers, acting)
		if err != nil {
			return nil, nil, err
		}
		if x.up() < q.Keep {
			short = append(short, x)
		}
	}
	return of, short, nil
}

// count looks at each other worker of a queue.
func count(q Queue, d data, peers []Peer, acting []data) (shortage, error) {
	x := shortage{Queue: q}
	for _, p := range peers {
		ours, err := q.serves(p.Worker)
		if err != nil {
			return x, err
		}
		if !ours || d.touched(p) {
			continue
		}
		x.others++
		why := p.Missing
		if i := slices.IndexFunc(acting, func(a data) bool { return a.touched(p) }); i >= 0 {
			why = "being restarted"
			x.runs = append(x.runs, acting[i].Run)
		}
		if why != "" {
			x.missing = append(x.missing, p.Title()+" is "+why)
		}
	}
	x.runs = slices.Compact(slices.Sorted(slices.Values(x.runs)))
	return x, nil
}

// restarting lists what the other runs do that are between the restart order
// and the end of the verification.
func (s *Service) restarting(ctx context.Context, but string) (out []data, err error) {
	live, err := s.d.Store.Runs(ctx, workflow.Filter{Live: true, Recipe: Recipe})
	if err != nil {
		return nil, fmt.Errorf("looking which workers are being restarted: %w", err)
	}
	for _, r := range live {
		if r.ID == but || r.Step != stepRestart && r.Step != stepStart && r.Step != stepVerify {
			continue
		}
		t, err := s.open(r)
		if err != nil {
			return nil, err
		}
		out = append(out, t.d)
	}
	return out, nil
}

// held says why a run has to wait for its queues before it takes a place in
// line; empty: it need not.
func (s *Service) held(ctx context.Context, w *work) (string, error) {
	_, short, err := s.spared(ctx, w.d)
	if err != nil {
		return "", err
	}
	w.d.Held = time.Time{}
	return w.hold(short), nil
}

// release is held, asked right before the restart. One worker of a queue
// restarts at a time: of two that both see the other up, the store lets one.
// Places that were given back meanwhile are taken again with it, all or none.
func (s *Service) release(ctx context.Context, w *work) (string, error) {
	of, short, err := s.spared(ctx, w.d)
	if err != nil {
		return "", err
	}
	w.d.Wants = false
	if why := w.hold(short); why != "" || len(of) == 0 && !w.d.Returned {
		return why, nil
	}
	slots, err := s.slots(ctx, w.d.Plan)
	if err != nil {
		return "", err
	}
	for _, q := range of {
		slots = append(slots, workflow.Slot{Name: slotQueue + q.Title(), Limit: 1})
	}
	full, err := w.Take(ctx, slots...)
	switch {
	case err != nil:
		return "", err
	case len(full) == 0:
		w.d.Returned = false
		return "", nil
	}
	w.d.Ahead, w.d.Held, w.d.Wants = full[0].Holders, w.now, true
	return crowded(full[0]), nil
}

// hold notes for whom the run waits, and returns the reason in words.
func (w *work) hold(short []shortage) string {
	w.d.Ahead = nil
	if len(short) == 0 {
		return ""
	}
	w.d.Held = w.now
	var why []string
	for _, x := range short {
		why, w.d.Ahead = append(why, x.String()), append(w.d.Ahead, x.runs...)
	}
	w.d.Ahead = slices.Compact(slices.Sorted(slices.Values(w.d.Ahead)))
	return strings.Join(why, "; ")
}

// waitForQueue keeps a run before its restart until its queues can spare the
// worker, and ends it when that takes too long. Its places are given back
// meanwhile: whoever is missing may need one of them to come back. That of the
// droplet it keeps, for nobody else may act there between snapshot and restart.
func (s *Service) waitForQueue(ctx context.Context, w *work, why string) (workflow.Next, error) {
	if w.now.Sub(w.d.Times[stepRecheck].Began) > s.c.Pace.Queue {
		w.d.Ahead = nil
		return w.end(Failed, fmt.Sprintf("its queue could not spare the worker within %v: %s", s.c.Pace.Queue, why), w.untouched())
	}
	if w.d.Returned { // it is written down that they have to be taken again
		if err := w.Return(ctx, dropletSlot(w.d.Plan)); err != nil {
			return workflow.Next{}, err
		}
	}
	w.d.Why, w.d.Returned = why, true
	return workflow.Wait(w.now.Add(s.c.Pace.Line)), nil
}

// queueNote says on the card what the restart would wait for.
func (s *Service) queueNote(ctx context.Context, d data) string {
	_, short, err := s.spared(ctx, d)
	if err != nil {
		s.log.Warn("looking at a worker's queues for a question", "worker", d.Plan.Title(), "err", err)
		return "whether the others of its queue are up is not known just now; it waits until they are"
	}
	var why []string
	for _, x := range short {
		why = append(why, x.String())
	}
	return strings.Join(why, "; ")
}

// since is the later of when the step was entered and when a queue last held
// the run up there: what has its own time to be done in begins then.
func (w *work) since() time.Time {
	if w.d.Held.After(w.r.Entered) {
		return w.d.Held
	}
	return w.r.Entered
}
