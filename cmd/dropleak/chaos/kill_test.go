package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// The moments at which a service is killed.
const (
	anyTime      = "at a random moment"
	beforeOrder  = "as its order reaches DigitalOcean, before it is carried out"
	afterOrder   = "after DigitalOcean carried its order out, before the answer"
	snapshotDone = "as the snapshot is finished"
	claimed      = "as an agent has claimed an order"
	carried      = "after an agent carried a restart out, before its result"
	reported     = "after it took an agent's result"
	clicked      = "as somebody clicks"
	told         = "after it called Slack"
)

// moments are drawn from with these weights.
var moments = []string{anyTime, anyTime, anyTime, beforeOrder, beforeOrder, afterOrder, afterOrder, snapshotDone, claimed, carried, reported,
	clicked, told}

// trap waits for a moment.
type trap struct {
	moment string
	skip   int // moments of that kind that pass
	sprung chan *replica
}

// set arms a trap; only one is armed at a time.
func (w *town) set(moment string, skip int) *trap {
	p := &trap{moment, skip, make(chan *replica, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trap = p
	return p
}

// at is called at a moment; it kills a service, r or else any, when a trap
// was set for it, and reports whether it did. Where r's order to a droplet is
// under way just then, that is named.
func (w *town) at(moment string, r *replica, droplet ...int) bool {
	w.mu.Lock()
	p := w.trap
	if p == nil || p.moment != moment {
		w.mu.Unlock()
		return false
	}
	if p.skip > 0 {
		p.skip--
		w.mu.Unlock()
		return false
	}
	w.trap = nil
	if r == nil {
		r = w.replicas[w.rng.IntN(len(w.replicas))]
	}
	w.mu.Unlock()
	w.kill(r, moment, droplet...)
	p.sprung <- r
	return true
}

// kill ends a service as a crash does and notes whose acts it had sent
// without having heard of them: those of the runs it held, and those of the
// droplets that it was just asking something of. Of these it may have lost the
// run already, when the machine kept it waiting for longer than its lease.
func (w *town) kill(r *replica, moment string, droplets ...int) {
	r.mu.Lock()
	p := r.process
	r.process = nil
	r.mu.Unlock()
	if p == nil {
		return
	}
	held := w.held(p.PID())
	at := time.Now()
	p.Kill()
	windows := append(w.windows(append(held, w.held(p.PID())...), at), w.windows(w.about(droplets), time.Time{})...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kills[moment]++
	w.ledger += fmt.Sprintf("    %4.0fs killed %s %s\n", time.Since(w.began).Seconds(), r.name, moment)
	for _, name := range windows {
		w.hit[name] = true
	}
}

// held lists the runs that a service holds.
func (w *town) held(pid int) (runs []string) {
	ctx, cancel := context.WithTimeout(context.Background(), testbed.Patience)
	defer cancel()
	live, err := w.store.Runs(ctx, workflow.Filter{Live: true, Recipe: remedy.Recipe})
	if err != nil {
		w.t.Errorf("looking for sent windows: %v", err)
	}
	for _, r := range live {
		if strings.Contains(r.Owner, fmt.Sprintf("/%d/", pid)) {
			runs = append(runs, r.ID)
		}
	}
	return runs
}

// about lists the live runs about droplets.
func (w *town) about(droplets []int) (runs []string) {
	for _, j := range w.runs() {
		if j.r.Live() && slices.Contains(droplets, int(j.d.Plan.DropletID)) {
			runs = append(runs, j.r.ID)
		}
	}
	return runs
}

// windows lists the acts of a dead service's runs that it had marked sent,
// that may not be asked twice, and whose answer nobody has. Another service
// may have begun to look for their traces since; with a zero time, before, too.
func (w *town) windows(runs []string, died time.Time) (found []string) {
	ctx, cancel := context.WithTimeout(context.Background(), testbed.Patience)
	defer cancel()
	for _, run := range runs {
		acts, err := w.store.RunActs(ctx, run)
		if err != nil {
			w.t.Errorf("looking for sent windows: %v", err)
		}
		for _, a := range acts {
			lost := a.State == workflow.Sent || a.State == workflow.Unknown
			if lost && (a.FirstLook.IsZero() || !a.FirstLook.Before(died)) && !repeatable(a) {
				found = append(found, run+" "+a.Name)
			}
		}
	}
	return found
}

// repeatable says whether an act's request does no harm when it is made
// again: an agent's order.
func repeatable(a workflow.Act) bool {
	var t restart.Target
	if strings.HasPrefix(a.Name, "snapshot") || json.Unmarshal(a.Request, &t) != nil {
		return false
	}
	return !t.Way.WholeDroplet()
}

// haunt kills services, one after the other, until ctx ends, and leaves all
// of them alive.
func (w *town) haunt(ctx context.Context) {
	for ctx.Err() == nil {
		moment := moments[w.roll(len(moments))]
		p := w.set(moment, w.roll(3))
		limit, cancel := context.WithTimeout(ctx, 200*time.Millisecond+w.upTo(4*time.Second))
		var r *replica
		select {
		case r = <-p.sprung:
		case <-limit.Done():
		}
		cancel()
		if r == nil {
			r = w.disarm(p, ctx.Err() == nil && moment == anyTime)
		}
		if r != nil {
			pause(ctx, w.upTo(1500*time.Millisecond))
			r.start()
		}
	}
	for _, r := range w.replicas {
		if r.alive() == nil {
			r.start()
		}
	}
}

// disarm takes a trap away, unless it springs just now; with strike a service
// is killed instead.
func (w *town) disarm(p *trap, strike bool) *replica {
	w.mu.Lock()
	mine := w.trap == p
	if mine {
		w.trap = nil
	}
	r := w.replicas[w.rng.IntN(len(w.replicas))]
	w.mu.Unlock()
	switch {
	case !mine:
		return <-p.sprung
	case strike:
		w.kill(r, anyTime)
		return r
	}
	return nil
}

// misbehave has DigitalOcean and Slack misbehave until ctx ends.
func (w *town) misbehave(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() {
		for ctx.Err() == nil {
			defer w.cloud.Inject(cloudFaults[w.roll(len(cloudFaults))].Once())()
			pause(ctx, 200*time.Millisecond+w.upTo(time.Second))
		}
	})
	loops.Go(func() {
		for ctx.Err() == nil {
			w.slackFault()
			pause(ctx, 200*time.Millisecond+w.upTo(time.Second))
		}
		w.slack.Faults(func(f *slacksim.Faults) { *f = slacksim.Faults{} })
	})
	loops.Wait()
}

// cloudFaults never answer a POST with an error that hides that nothing was
// done; see the package's comment.
var cloudFaults = []dosim.Fault{
	dosim.BadGateway.On("GET", "/v2/"),
	dosim.DropBefore.On("GET", "/v2/"),
	{Method: "GET", Path: "/v2/", Status: http.StatusTooManyRequests, RetryAfter: time.Second},
	{Method: "GET", Path: "/v2/", Delay: 700 * time.Millisecond},
	dosim.DropAfter.On("POST", "/v2/droplets/"),
	dosim.ErrorAfter.On("POST", "/v2/droplets/"),
	{Method: "POST", Path: "/v2/droplets/", Status: http.StatusTooManyRequests, RetryAfter: time.Second},
	{Method: "POST", Path: "/v2/droplets/", Delay: 300 * time.Millisecond},
}

// slackFault switches one misfortune on. An answer is lost of updates only:
// a post whose answer is lost is posted again, which the documentation says.
func (w *town) slackFault() {
	die := w.roll(8)
	if die == 0 {
		w.slack.Cut()
		return
	}
	w.slack.Faults(func(f *slacksim.Faults) {
		f.RetryAfter = time.Second
		switch die {
		case 1, 2:
			f.Duplicate = 1
		case 3:
			f.LoseAcks = 1
		case 4:
			f.RateLimit["chat.update"] = 1
		case 5:
			f.ServerError["chat.update"] = 1
		case 6:
			f.LoseAnswer["chat.update"] = 1
		case 7:
			f.RateLimit["chat.postMessage"] = 1
		}
	})
}

// eavesdrop tells of every call to Slack until ctx ends.
func (w *town) eavesdrop(ctx context.Context) {
	seen := 0
	for ctx.Err() == nil {
		err := w.slack.Wait(ctx, func() bool {
			n := len(w.slack.Journal())
			more := n > seen
			seen = n
			return more
		})
		if err == nil {
			w.at(told, nil)
		}
	}
}
