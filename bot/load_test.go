package bot

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

var (
	loadDroplets = flag.Int("load.droplets", 40, "droplets that are scanned and send samples while Slack is answered")
	loadCrowd    = flag.Int("load.crowd", 25, "people who speak at once")
	loadRounds   = flag.Int("load.rounds", 1, "how often they do")
	loadSteady   = flag.Int("load.steady", 40, "requests that come one after the other, fifty a second")
)

const (
	slowest   = time.Second            // in a crowd; held at bench size, on a machine with nothing else to do
	promised  = 100 * time.Millisecond // for 99 of 100 that come steadily, likewise
	passes    = 288                    // a day of samples, five minutes apart
	perLoaded = 2                      // workers a droplet
)

// TestLoad: while the fleet is scanned and samples come in, a crowd commands
// and clicks at once, over signed HTTP and into the real store. Slack is acked
// in its three seconds, no request is lost, and none is answered twice, though
// some are delivered twice. With -load.droplets 1000 and a crowd of a hundred
// it is the benchmark, which holds acks to what is promised.
func TestLoad(t *testing.T) {
	l := newLoad(t)
	ctx, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() { l.s.chat.Run(ctx) })
	busy.Go(func() { l.scan(ctx) })
	busy.Go(func() { l.take(ctx) })
	began := time.Now()
	for round := range *loadRounds {
		l.sim.Faults(func(f *slacksim.Faults) { f.Duplicate = 10 })
		l.speak(round)
	}
	crowded := l.acks(t, 0)
	steadily := len(l.sim.Journal())
	l.stroll()
	want := *loadCrowd**loadRounds + *loadSteady
	testbed.Eventually(t, 4*testbed.Patience, func() error {
		if n := len(l.answers()); n < want {
			return fmt.Errorf("%d of %d were answered", n, want)
		}
		return nil
	})
	stop()
	busy.Wait()
	calm := l.acks(t, steadily)
	if n := len(l.answers()); n != want {
		t.Errorf("%d answers to %d requests", n, want)
	}
	at := func(took []time.Duration, q float64) time.Duration {
		return took[min(int(q*float64(len(took))), len(took)-1)]
	}
	worst := crowded[len(crowded)-1]
	t.Logf("%d droplets, %v, beside %d scans and %d passes: %d at once: ack p50 %v, p99 %v, worst %v; %d steadily: p50 %v, p99 %v", *loadDroplets,
		time.Since(began).Round(time.Millisecond), l.scans.Load(), l.taken.Load(), *loadCrowd, at(crowded, 0.5), at(crowded, 0.99), worst, *loadSteady, at(calm, 0.5), at(calm, 0.99))
	if bench := *loadDroplets >= 1000; bench && (worst > slowest || at(calm, 0.99) > promised) {
		t.Errorf("promised are %v at worst in a crowd, and %v for 99 of 100 otherwise", slowest, promised)
	}
	if l.scans.Load() == 0 || l.taken.Load() == 0 {
		t.Error("nothing went on beside")
	}
}

// load is a service with a fleet, and the workspace that speaks to it.
type load struct {
	t            *testing.T
	s            *Service
	sim          *slacksim.Sim
	start        time.Time
	post         slacksim.Message
	scans, taken atomic.Int64
}

func newLoad(t *testing.T) *load {
	t.Helper()
	l := &load{t: t, start: time.Now().Truncate(time.Minute).Add(-passes * 5 * time.Minute)}
	cloud := dosim.New(dosim.Options{}).Kind()
	cloud.AddToken("dop_v1_reader", dosim.ReaderScopes...)
	for i := range *loadDroplets {
		cloud.AddDroplet(dosim.Droplet{ID: 1000 + i, Name: fmt.Sprint("web-", i), Tags: []string{"dropleak"}})
	}
	reader, err := doclient.NewReader(doclient.Options{Token: doclient.StaticToken("dop_v1_reader"), Transport: cloud.Transport(),
		Pace: doclient.Pace{PerSecond: 1000, Burst: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(nil)
	l.sim = slacksim.New(slacksim.Options{AppURL: "http://" + srv.Listener.Addr().String()}).Kind()
	if err := l.sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.sim.Close() })
	st, err := store.Open(t.Context(), "sqlite:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	scan, err := schedule.Parse("@every 1h", nil)
	if err != nil {
		t.Fatal(err)
	}
	l.s, err = New(t.Context(), Deps{Store: st, Reader: reader, Rehearse: true, Channel: "C0OPS", Tag: "dropleak", Owner: "load", Scan: scan,
		Slack: slackapp.Options{BotToken: "xoxb-sim", SigningSecret: "sim-signing-secret", Mode: slackapp.HTTP, APIURL: l.sim.APIURL()}})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = l.s.Handler()
	srv.Start()
	t.Cleanup(srv.Close)
	l.seed()
	return l
}

// seed writes a day of every droplet, and has one message to click on.
func (l *load) seed() {
	for i := range *loadDroplets {
		var all []sample.Series
		at := map[string]int{}
		for m := range passes {
			for _, s := range sample.Encode(l.pass(i, m)) {
				if k, known := at[s.Key()]; known {
					all[k].Points = append(all[k].Points, s.Points...)
				} else {
					at[s.Key()], all = len(all), append(all, s)
				}
			}
		}
		if err := l.s.history.Write(l.t.Context(), all); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := l.s.Scan(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	if err := l.s.chat.Report(l.t.Context(), "", "", time.Time{}); err != nil {
		l.t.Fatal(err)
	}
	l.post = l.sim.Messages("C0OPS")[0]
}

// pass is what an agent sends; level, so that nothing is found.
func (l *load) pass(i, m int) sample.Pass {
	at, id := l.start.Add(time.Duration(m)*5*time.Minute), strconv.Itoa(1000+i)
	p := sample.Pass{Droplet: &sample.Droplet{At: at, Droplet: id, Available: 8 << 30, Total: 16 << 30, Boot: l.start.Add(-time.Hour)}}
	for k := range perLoaded {
		rss := float64(200<<20 + (m*7919+k*31)%13*4096)
		p.Processes = append(p.Processes, sample.Process{At: at, Droplet: id, Worker: fmt.Sprintf("w%d-%d", i, k), Slot: sample.SlotMain, Role: "parent",
			PID: 100 + k, Start: l.start.Add(-time.Hour), RSS: rss, PSS: rss, USS: rss, CPU: float64(m)})
	}
	return p
}

// scan judges the fleet, again and again.
func (l *load) scan(ctx context.Context) {
	for ctx.Err() == nil {
		if err := l.s.Scan(ctx); err != nil && ctx.Err() == nil {
			l.t.Error(err)
		}
		l.scans.Add(1)
	}
}

// take has every droplet send a pass, as fast as the fleet does in a minute.
func (l *load) take(ctx context.Context) {
	tick := time.NewTicker(max(time.Minute/time.Duration(*loadDroplets), time.Millisecond))
	defer tick.Stop()
	for n := 0; ; n++ {
		if err := l.s.history.Write(ctx, sample.Encode(l.pass(n%*loadDroplets, passes + n / *loadDroplets))); err != nil && ctx.Err() == nil {
			l.t.Error(err)
		}
		l.taken.Add(1)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// speak has the crowd command and click at the same moment.
func (l *load) speak(round int) {
	var wg sync.WaitGroup
	for i := range *loadCrowd {
		d := (round**loadCrowd + i) % *loadDroplets
		wg.Go(func() {
			var err error
			if i%2 == 0 {
				err = l.sim.Command("U0ANNA", "C0OPS", fmt.Sprintf("/leaks worker w%d-0", d))
			} else {
				err = l.sim.ClickRaw("U0ANNA", l.post.Channel, l.post.TS, "b", "worker", fmt.Sprintf("%d/w%d-1", 1000+d, d))
			}
			if err != nil {
				l.t.Error(err)
			}
		})
	}
	wg.Wait()
}

// stroll has requests come steadily, fifty a second.
func (l *load) stroll() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var wg sync.WaitGroup
	for i := range *loadSteady {
		<-tick.C
		wg.Go(func() {
			if err := l.sim.Command("U0ANNA", "C0OPS", fmt.Sprintf("/leaks worker w%d-0", i%*loadDroplets)); err != nil {
				l.t.Error(err)
			}
		})
	}
	wg.Wait()
}

// answers are the uses of response addresses.
func (l *load) answers() (out []slacksim.Entry) {
	for _, e := range l.sim.Journal() {
		if e.Kind == slacksim.Respond {
			if e.Error != "" || !strings.Contains(string(e.Body), "web-") {
				l.t.Errorf("answered %s %s", e.Error, e.Body)
			}
			out = append(out, e)
		}
	}
	return out
}

// acks are how long each delivery since a line of the journal waited, sorted.
func (l *load) acks(t *testing.T, from int) (took []time.Duration) {
	delivered := 0
	for _, e := range l.sim.Journal()[from:] {
		switch e.Kind {
		case slacksim.Deliver:
			delivered++
		case slacksim.Acked:
			if e.Error != "" {
				t.Errorf("not acked: %s %s", e.Name, e.Error)
			}
			took = append(took, e.Took)
		}
	}
	if delivered != len(took) || delivered == 0 {
		t.Errorf("%d deliveries, %d acks", delivered, len(took))
	}
	slices.Sort(took)
	return took
}
