package remedy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
)

// TestOnHandOfTheRun: the question tells what the restart would end, and the
// last look before it is told too; of a reboot it is all of the droplet. Where
// it cannot be counted, it is not known, and nothing waits for it.
func TestOnHandOfTheRun(t *testing.T) {
	for _, c := range []struct {
		name   string
		whole  bool
		beside []string
		err    error
		want   string // asked for
	}{{name: "a unit", want: "42 [mail]"}, {name: "a unit of two", beside: []string{"web"}, want: "42 [mail web]"},
		{name: "a droplet", whole: true, beside: []string{"web"}, want: "42 []"}, {name: "unread", err: errors.New("disk I/O error"), want: "42 [mail]"}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.beside = c.beside
				if c.whole {
					w.choice = remedy.Choice{Way: restart.Reboot, ConfigHash: "h1"}
				}
				var asked []string
				p := w.start("a", func(_ *remedy.Config, d *remedy.Deps) {
					d.OnHand = func(_ context.Context, id int64, workers []string) (remedy.OnHand, error) {
						asked = append(asked, fmt.Sprint(id, workers))
						return remedy.OnHand{At: time.Now(), Running: len(asked), Late: 1}, c.err
					}
				})
				id := approved(t, p)
				first := look(t, p, id).Card.OnHand
				r := w.drive(t, id, 2*time.Hour, p)
				last := look(t, p, id).OnHand
				if slices.ContainsFunc(asked, func(a string) bool { return a != c.want }) || len(asked) < 2 || !remedy.Outcome(r.Outcome).Restarted() {
					t.Fatalf("asked for %v, want %s; ended %s", asked, c.want, r.Outcome)
				}
				if c.err != nil {
					if first != nil || last != nil {
						t.Errorf("known are %+v and %+v", first, last)
					}
					return
				}
				if first == nil || first.Running != 1 || last == nil || last.Running != len(asked) {
					t.Errorf("told %+v, then %+v of %d", first, last, len(asked))
				}
			})
		})
	}
}
