package remedy_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/doclient"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// weathers are the ways the world outside may be, by name.
var weathers = map[string]func(w *world){
	"fair":            func(*world) {},
	"fair again":      func(*world) {},
	"slow snapshot":   func(w *world) { w.snapshotTakes = 12 * time.Minute }, // it outlasts a quiet window
	"errored":         func(w *world) { w.snapshotEnds = doclient.Errored },
	"endless":         func(w *world) { w.snapshotTakes = 1e6 * time.Hour },
	"agent dies":      func(w *world) { w.agentDies = true },
	"agent dies late": func(w *world) { w.agentDies, w.agentDid = true, true },
	"agent refuses":   says(order.Refused, order.TooOften),
	"agent overtaken": says(order.Refused, order.Overtaken),
	"agent fails":     says(order.Failed, order.ManagerError),
	"agent unsure":    says(order.Unknown, order.ManagerError),
	"not started":     func(w *world) { says(order.Failed, order.NotRunning)(w); w.dies = true },
	"started later":   says(order.Failed, order.NotRunning),
	"not freed":       func(w *world) { w.recovery = detector.DidNotRecover },
	"too early":       func(w *world) { w.recovery = detector.TooEarly },
	"idle":            func(w *world) { w.working = remedy.Idle },
	"pool short":      func(w *world) { w.pool = 1 },
	"dies":            func(w *world) { w.dies = true },
	"reboot":          reboot,
}

func says(s order.State, why order.Reason) func(w *world) {
	return func(w *world) { w.agentSays = &order.Result{State: s, Reason: why, Error: string(why)} }
}

// happening is something that happens at a crossing of a border: the At-th of
// all, or of those named On.
type happening struct {
	At   int
	On   string
	What string
}

// borders are the crossings whose timing matters most.
var borders = []string{
	"store claim", "store save ask", "store save line", "store save evidence", "store save snapshot", "store save recheck",
	"store save restart", "store save verify", "store take", "store plan snapshot", "store return", "store sent snapshot", "call snapshot",
	"store done snapshot", "call action", "call snapshot by name", "call inspect", "call evidence", "store plan restart",
	"store sent restart", "call place restart", "store done restart", "call result", "announce", "store retell",
}

// aims are happenings that chance alone would seldom place so well.
var aims = []happening{
	{1, "store take", "cancel"}, {1, "store save line", "cancel"}, {1, "call evidence", "cancel"}, {1, "store save evidence", "cancel"},
	{3, "call inspect", "cancel"}, {1, "store save recheck", "cancel"}, {1, "store plan restart", "cancel"}, {1, "store sent restart", "cancel"},
	{1, "store plan restart", "freeze 40s"}, {1, "store save restart", "freeze 40s"}, {2, "call inspect", "other life"},
	{1, "call snapshot", "lost before"}, {1, "call snapshot", "crash before"}, {1, "store sent snapshot", "crash after"},
	{1, "store plan snapshot", "freeze 40s"}, {3, "call inspect", "agent away"},
	{1, "call snapshot by name", "agent away"}, {1, "call snapshot by name", "agent away"},
	{1, "call snapshot", "peer away"}, {3, "call inspect", "peer away"}, {1, "store return", "crash after"},
	{1, "store plan restart", "freeze 40s"}, {1, "store save restart", "freeze 40s"}, {3, "call inspect", "cancel"}, {1, "store save recheck", "cancel"},
	{1, "call snapshot", "crash before"},
	{2, "announce", "stall 3m"}, {4, "announce", "stall 1h"}, {1, "store retell", "crash before"}, {1, "store retell", "crash before"},
}

var happenings = []string{
	"crash before", "crash after", "lost before", "lost after", "stall 20s", "stall 3m", "stall 1h", "freeze 40s", "freeze 40s",
	"cancel", "cancel", "cancel", "skip", "approve twice", "not now", "refused click",
	"judged", "judged", "policy off", "other life", "other config", "agent away", "agent back", "reboot droplet", "busy droplet", "peer away", "peer back",
}

// script is all that is drawn for one run.
type script struct {
	Weather  string
	Say      remedy.Kind
	Quorum   int
	Most     int  // restarts, of a lease
	Second   bool // another worker of the droplet is approved too
	Policy   bool // the worker restarts by policy, too
	Rehearse bool
	Queue    bool // another worker of its queue must be up, and may go
	Happen   []happening
}

var scripts = rapid.Custom(func(t *rapid.T) script {
	s := script{
		Weather:  rapid.SampledFrom(slices.Sorted(maps.Keys(weathers))).Draw(t, "weather"),
		Say:      rapid.SampledFrom([]remedy.Kind{remedy.Approve, remedy.Approve, remedy.Approve, remedy.Approve, remedy.Approve, remedy.Later, remedy.Skip, remedy.NotNow, remedy.FalseAlarm, remedy.Cancel, ""}).Draw(t, "say"),
		Quorum:   rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "quorum"),
		Second:   rapid.IntRange(0, 3).Draw(t, "second") == 0,
		Policy:   rapid.IntRange(0, 4).Draw(t, "policy") == 0,
		Rehearse: rapid.IntRange(0, 19).Draw(t, "rehearse") == 0,
		Queue:    rapid.IntRange(0, 4).Draw(t, "queue") == 4,
	}
	for range rapid.IntRange(0, 4).Draw(t, "n") {
		h := happening{What: rapid.SampledFrom(happenings).Draw(t, "what")}
		switch rapid.IntRange(0, 4).Draw(t, "where") {
		case 0:
			h = rapid.SampledFrom(aims).Draw(t, "aim")
		case 1, 2:
			h.At = rapid.IntRange(3, 110).Draw(t, "at")
		default:
			h.On, h.At = rapid.SampledFrom(borders).Draw(t, "on"), rapid.IntRange(1, 2).Draw(t, "time")
		}
		s.Happen = append(s.Happen, h)
	}
	if s.Queue { // else chance alone seldom makes its restart wait, or wait too long
		s.Happen = append(s.Happen, rapid.SampledFrom([][]happening{nil, nil, {{1, "call snapshot", "peer away"}}, {{1, "call snapshot", "peer gone"}}}).Draw(t, "alone")...)
	}
	return s
})

// tally counts transitions of steps and acts.
type tally map[string]int

func (c tally) add(entries []workflow.Entry) {
	for _, e := range entries {
		after, _, _ := strings.Cut(e.After, " ")
		switch e.What {
		case "step", "end":
			c[e.Before+" → "+after]++
		case "act":
			if e.Before == "" {
				e.Before = "–"
			}
			c["act "+e.Before+" → "+after]++
		}
	}
}

// TestRuns drives the real code through random weather, faults, clicks and
// pauses, and checks the laws after every step. DROPLEAK_RUNS says how many
// runs; CI makes ten thousand.
func TestRuns(t *testing.T) {
	seen := tally{}
	outcomes := tally{}
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		st := &stage{s: scripts.Draw(rt, "script"), crossed: map[string]int{}}
		var err error
		synctest.Test(t, func(t *testing.T) {
			st.ctx = t.Context()
			err = st.play()
		})
		if err != nil {
			rt.Fatalf("%v\n%s", err, st.w.story())
		}
		runs++
		seen.add(st.w.store.Journal())
		if r, err := st.w.store.Run(context.Background(), st.run); err == nil {
			outcomes[r.Outcome]++
		}
	})
	report(t, runs, seen, outcomes)
}

// TestScriptsOnceWrong plays again what chance once found.
func TestScriptsOnceWrong(t *testing.T) {
	for name, c := range map[string]struct {
		s        script
		restarts int
	}{
		"restarted by policy after a relapse, by two reboots": {script{Weather: "reboot", Say: remedy.Approve, Quorum: 2, Policy: true,
			Happen: []happening{{4, "announce", "stall 1h"}, {13, "", "judged"}, {30, "", "judged"}}}, 2},
		"a click looks at one worker before the other's reboot": {script{Weather: "reboot", Quorum: 1, Second: true, Queue: true,
			Happen: []happening{{101, "", "approve twice"}, {10, "", "peer back"}, {1, "store save restart", "approve twice"}}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			st := &stage{s: c.s, crossed: map[string]int{}}
			synctest.Test(t, func(t *testing.T) {
				st.ctx = t.Context()
				if err := st.play(); err != nil {
					t.Errorf("%v\n%s", err, st.w.story())
				}
			})
			if n := st.w.count("restart"); n != c.restarts {
				t.Errorf("%d restarts, want %d", n, c.restarts)
			}
		})
	}
}

// report prints how often each transition was made, and fails when one was
// made too rarely for the laws to have been tried on it.
func report(t *testing.T, runs int, seen, outcomes tally) {
	for _, k := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%6d runs ended %s", outcomes[k], k)
	}
	want := slices.DeleteFunc(slices.DeleteFunc(documented(t), ofLease), ofOnly)
	least := runs / 100
	if runs < 2000 {
		least = 0 // too few to be sure of the rare ones
	}
	for _, k := range want {
		t.Logf("%6d %s", seen[k], k)
		if seen[k] < least {
			t.Errorf("%s was made %d times in %d runs, want %d", k, seen[k], runs, least)
		}
	}
	for k := range seen {
		if !slices.Contains(want, k) && !ofLease(k) {
			t.Errorf("%s was made and is not in docs/run.md", k)
		}
	}
}

// documented reads the transitions from the tables of docs/run.md.
func documented(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/run.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.Contains(cells[1], "`") {
			continue
		}
		from, to := strings.Trim(cells[1], " `"), strings.Trim(cells[2], " `")
		out = append(out, from+" → "+to)
	}
	slices.Sort(out)
	return out
}

// TestRunsAreDrawn: docs/run.md has every transition of the code, and none
// besides.
func TestRunsAreDrawn(t *testing.T) {
	drawn := documented(t)
	drawn = slices.DeleteFunc(drawn, func(s string) bool { return strings.HasPrefix(s, "act ") })
	edges := remedy.Edges()
	slices.Sort(edges)
	if d := cmp.Diff(edges, drawn); d != "" {
		t.Errorf("docs/run.md (-code +drawn):\n%s", d)
	}
}

// TestMain takes the number of runs from the environment.
func TestMain(m *testing.M) {
	flag.Parse()
	n := os.Getenv("DROPLEAK_RUNS")
	if n == "" && os.Getenv("CI") != "" {
		n = "10000"
	}
	if n != "" {
		if err := flag.Set("rapid.checks", n); err != nil {
			fmt.Fprintln(os.Stderr, "DROPLEAK_RUNS:", err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// ofOnly are the ends of runs that only a snapshot is asked of: TestOnly* walks
// them.
func ofOnly(k string) bool { return k == "snapshot → snapshot_made" || k == "snapshot → rehearsed" }
