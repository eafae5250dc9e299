package chaos

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dropleak/dropleak/bot/store"
)

var (
	runsFlag    = flag.Int("runs", 0, "how many runs are tried; 0: 30 in CI, else one town's")
	seedFlag    = flag.Uint64("seed", 1, "what goes wrong, and when")
	summaryFlag = flag.String("summary", "", "a `file` that gets the last line too")
)

// townRuns is how many runs share a town, and thus a kill.
const townRuns = 6

// tally is what came of many runs.
type tally struct {
	runs, unsnapshotted, doubled, lost, toPerson, windows int

	stalls int // runs that went to a person, and a stall of the machine hit a sent window, no kill

	outcomes, kills map[string]int
	wrongs          []string // what else must not be, in sentences
}

func (t *tally) add(u tally) {
	t.runs += u.runs
	t.unsnapshotted += u.unsnapshotted
	t.doubled += u.doubled
	t.lost += u.lost
	t.toPerson += u.toPerson
	t.windows += u.windows
	t.stalls += u.stalls
	t.wrongs = append(t.wrongs, u.wrongs...)
	for _, m := range []struct{ into, from map[string]int }{{t.outcomes, u.outcomes}, {t.kills, u.kills}} {
		for k, n := range m.from {
			m.into[k] += n
		}
	}
}

// wrong notes a failure that is none of the counted ones.
func (t *tally) wrong(format string, args ...any) {
	t.wrongs = append(t.wrongs, fmt.Sprintf(format, args...))
}

// String is the line that others read.
func (t *tally) String() string {
	return fmt.Sprintf("runs=%d unsnapshotted=%d doubled=%d lost=%d to_person=%d sent_window_kills=%d",
		t.runs, t.unsnapshotted, t.doubled, t.lost, t.toPerson, t.windows)
}

// forgiven is how many runs that a stalled machine took from their owner may
// go to a person beside those of kills: one in a hundred, so that leases that
// are not renewed do not pass for stalls.
func (t *tally) forgiven() int { return min(t.stalls, 1+t.runs/100) }

// good reports whether all held.
func (t *tally) good(want int) bool {
	return t.runs >= want && t.unsnapshotted == 0 && t.doubled == 0 && t.lost == 0 && t.toPerson-t.forgiven() <= t.windows && len(t.wrongs) == 0
}

// TestChaos is "make chaos".
func TestChaos(t *testing.T) {
	want := *runsFlag
	switch {
	case want > 0:
	case os.Getenv("CI") != "":
		want = 30
	default:
		want = townRuns
	}
	sum := tally{outcomes: map[string]int{}, kills: map[string]int{}}
	var mu sync.Mutex
	t.Run("towns", func(t *testing.T) {
		for i, left := 0, want; left > 0; i, left = i+1, left-townRuns {
			engine := []store.Engine{store.SQLite, store.Postgres}[i%2]
			t.Run(fmt.Sprintf("%d %s", i, engine), func(t *testing.T) {
				t.Parallel()
				got := play(t, *seedFlag*1000+uint64(i), engine, min(left, townRuns))
				mu.Lock()
				defer mu.Unlock()
				sum.add(got)
			})
		}
	})
	sum.report(t, want)
}

// report prints what happened, the line last, and fails the test unless all
// of it is good.
func (t *tally) report(tt *testing.T, want int) {
	for what, m := range map[string]map[string]int{"killed": t.kills, "ended": t.outcomes} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			tt.Logf("%5d times %s: %s", m[k], what, k)
		}
	}
	if t.stalls > 0 {
		tt.Logf("%5d of those that went to a person did because the machine stalled for longer than the lease", t.stalls)
	}
	if !t.good(want) || tt.Failed() {
		tt.Errorf("seed %d: %d runs asked for; %s\n%s", *seedFlag, want, t, strings.Join(t.wrongs, "\n"))
	}
	fmt.Println(t)
	if *summaryFlag != "" {
		if err := os.WriteFile(*summaryFlag, []byte(t.String()+"\n"), 0o644); err != nil {
			tt.Error(err)
		}
	}
}
