package remedy_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/workflow"
	"pgregory.net/rapid"
)

// ofLease reports whether a transition is one that a lease makes.
func ofLease(k string) bool { return strings.HasPrefix(k, "hold ") || k == "ask → leased" }

// leaseHappenings are those of a run, and what befalls a lease.
var leaseHappenings = []string{"crash before", "crash after", "lost before", "lost after", "stall 20s", "stall 3m", "stall 1h", "freeze 40s",
	"revoke", "revoke", "cancel under lease", "snapshot gone", "approve twice", "other life", "other config", "agent away", "agent back", "busy droplet"}

var leaseScripts = rapid.Custom(func(t *rapid.T) script {
	s := script{Weather: rapid.SampledFrom([]string{"fair", "fair", "fair", "slow snapshot", "errored", "agent dies", "agent dies late", "agent refuses", "not freed",
		"not started", "idle", "dies"}).Draw(t, "weather"), Quorum: rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "quorum"),
		Most: rapid.SampledFrom([]int{1, 2, 2, 9}).Draw(t, "most")}
	for range rapid.IntRange(0, 4).Draw(t, "n") {
		h := happening{What: rapid.SampledFrom(leaseHappenings).Draw(t, "what"), At: rapid.IntRange(3, 250).Draw(t, "at")}
		if rapid.IntRange(0, 2).Draw(t, "where") == 0 {
			h.On, h.At = rapid.SampledFrom(append(borders, "store save hold", "store decide")).Draw(t, "on"), rapid.IntRange(1, 3).Draw(t, "time")
		}
		s.Happen = append(s.Happen, h)
	}
	return s
})

// onLease lets a person press on any process that lives.
func (st *stage) onLease(press func(p *process) (remedy.Answer, error)) {
	for _, p := range st.ps {
		if p.dead.Load() || p.frozen.Load() || st.run == "" {
			continue
		}
		if _, err := press(p); err != nil && !errors.Is(err, errDead) && !errors.Is(err, errLost) && !errors.Is(err, workflow.ErrNotFound) {
			st.broken = err
		}
		return
	}
}

// revoked writes down which restarts had not been ordered when the lease was
// revoked: they never may be.
func (st *stage) revoked() error {
	runs, err := st.w.db.Runs(st.ctx, workflow.Filter{Recipe: remedy.Recipe})
	for _, r := range runs {
		sent, err := st.w.sent(st.ctx, r.ID)
		if err != nil {
			return err
		}
		st.w.lock(func() { st.w.unsent[r.ID] = sent.IsZero() })
	}
	return err
}

// grant answers the question with a lease; false when nobody could be asked.
func (st *stage) grant(most int) bool {
	hours := 6
	if most == 9 {
		hours = 3 // there is no time for so many
	}
	terms := remedy.Terms{Below: time.Hour, Until: time.Now().Add(time.Duration(hours) * time.Hour), Most: most}
	st.w.granted = &terms
	for _, by := range []string{alice, bob}[:st.s.Quorum] {
		granted := false
		for range 5 {
			for _, p := range st.ps {
				if p.dead.Load() {
					continue
				}
				a, err := st.press(p, st.run, remedy.Decision{By: by, Team: team, Kind: remedy.Grant, Terms: &terms})
				if err == nil {
					granted = a.Accepted
					break
				}
			}
			if granted {
				break
			}
			st.replace()
		}
		if !granted {
			return false
		}
	}
	return true
}

// playLease grants a lease and lets the worker leak on, through all that is
// drawn, until the lease has ended.
func (st *stage) playLease() error {
	st.w = newWorld()
	st.w.pressed, st.w.quorum = map[string][]press{}, st.s.Quorum
	st.w.snapshotTakes = 15 * time.Second
	weathers[st.s.Weather](st.w)
	st.spawn()
	st.spawn()
	for range 6 {
		if st.open() {
			break
		}
		st.replace()
	}
	if st.run == "" || !st.grant(st.s.Most) {
		return nil
	}
	lease := "lease-" + st.run
	for range 14 {
		st.nest(st.judged)
		if _, err := st.w.pass(st.ctx, lease, 25*time.Minute, st.ps...); err != nil && !errors.Is(err, workflow.ErrNotFound) || st.broken != nil {
			return firstError(err, st.broken)
		}
		st.replace()
	}
	st.nested = true
	st.w.lock(func() { st.w.agentAway = false })
	r, err := st.w.pass(st.ctx, lease, 27*time.Hour, st.ps...)
	switch {
	case errors.Is(err, workflow.ErrNotFound):
		return nil // its question was void before the lease began
	case err != nil:
		return err
	case r.Live():
		return fmt.Errorf("lost: the lease holds at its end, %s", r.Trouble)
	}
	return st.allEnd()
}

// twentieth makes a twentieth of the runs: one of a lease is several, and days long.
func twentieth(t *testing.T) (restore func()) {
	t.Helper()
	checks := flag.Lookup("rapid.checks").Value
	all := checks.String()
	n, err := strconv.Atoi(all)
	if err == nil {
		err = checks.Set(strconv.Itoa(max(n/20, min(n, 100))))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := checks.Set(all); err != nil {
			t.Error(err)
		}
	}
}

// TestLeases drives leases through random weather, faults and people, and
// checks the laws of a run and those of a lease after every step.
func TestLeases(t *testing.T) {
	seen := tally{}
	runs, restarts := 0, tally{}
	defer twentieth(t)()
	rapid.Check(t, func(rt *rapid.T) {
		st := &stage{s: leaseScripts.Draw(rt, "script"), crossed: map[string]int{}}
		var err error
		synctest.Test(t, func(t *testing.T) {
			st.ctx = t.Context()
			err = st.playLease()
		})
		if err != nil {
			rt.Fatalf("%v\n%s", err, st.w.story())
		}
		runs++
		seen.add(st.w.store.Journal())
		restarts[fmt.Sprint(st.w.count("restart"), " restarts, ", st.w.count("snapshot"), " snapshots")]++
	})
	for _, k := range slices.Sorted(maps.Keys(restarts)) {
		t.Logf("%6d leases with %s", restarts[k], k)
	}
	for _, k := range slices.DeleteFunc(documented(t), func(k string) bool { return !ofLease(k) }) {
		t.Logf("%6d %s", seen[k], k)
		if runs >= 500 && seen[k] < runs/50 {
			t.Errorf("%s was made %d times in %d leases, want %d", k, seen[k], runs, runs/50)
		}
	}
}
