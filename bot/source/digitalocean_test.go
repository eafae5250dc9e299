package source_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

const day = 24 * time.Hour

// The first pull brings what DigitalOcean still has; the next ones only what
// is new, with some overlap.
func TestBackfillThenIncrements(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.droplet(1)
		b.pull()
		at := b.shelf.available(1)
		if span := at[len(at)-1].Sub(at[0]); span < 14*day-10*time.Minute {
			t.Errorf("the backfill reaches %v back", span)
		}
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap > 2*time.Minute {
				t.Fatalf("the backfill has a hole of %v before %v", gap, at[i])
			}
		}
		first := b.asked(1)
		if n := len(first); n != 56 || !first[0].To.After(first[n-1].To) {
			t.Errorf("the backfill asked %d times, newest last", n)
		}
		for _, s := range first {
			if s.To.Sub(s.From) > 6*time.Hour+time.Second {
				t.Errorf("asked for %v at once", s.To.Sub(s.From))
			}
		}
		time.Sleep(4 * time.Minute)
		held, newest := len(at), at[len(at)-1]
		b.pull()
		next := b.asked(1)[len(first):]
		if len(next) != 1 || newest.Sub(next[0].From) != 10*time.Minute {
			t.Errorf("the second pull asked for %+v", next)
		}
		if now := len(b.shelf.available(1)); now != held+2 {
			t.Errorf("the second pull brought %d new points, want 2", now-held)
		}
	})
}

func TestCursorSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.droplet(1)
		b.pull()
		n := len(b.asked(1))
		time.Sleep(time.Hour)
		b.again()
		b.pull()
		if more := b.asked(1)[n:]; len(more) != 1 || more[0].To.Sub(more[0].From) > 75*time.Minute {
			t.Errorf("after a restart it asked for %+v", more)
		}
	})
}

// A backfill that broke off is not taken for done.
func TestBrokenBackfillBeginsAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.droplet(1)
		clear := b.cloud.Inject(dosim.Fault{Path: "/v2/monitoring", Skip: 20, Status: http.StatusForbidden})
		if err := b.Pull(t.Context()); err == nil {
			t.Fatal("no error")
		}
		clear()
		b.pull()
		if at := b.shelf.available(1); at[len(at)-1].Sub(at[0]) < 14*day-10*time.Minute {
			t.Errorf("the second backfill reaches %v back", at[len(at)-1].Sub(at[0]))
		}
	})
}

// A droplet that was off for half a day hides nothing of what was before,
// when the service comes back from a longer absence.
func TestAHoleIsSteppedOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		start := time.Now()
		b.droplet(1, func(d *dosim.Droplet) {
			d.Memory = func(at time.Time) (int64, int64) {
				if h := at.Sub(start).Hours(); h > 10 && h < 26 {
					return 0, 0
				}
				return 1 << 29, 1 << 30
			}
		})
		b.pull()
		time.Sleep(2 * day)
		b.pull()
		before := 0
		for _, at := range b.shelf.available(1) {
			if at.After(start) && at.Before(start.Add(10*time.Hour)) {
				before++
			}
		}
		if before < 290 {
			t.Errorf("of the ten hours before the hole %d points are held, want 300", before)
		}
	})
}

func TestEmptyIsMissing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.droplet(3, func(d *dosim.Droplet) { d.NoAgent = true })
		b.droplet(2, func(d *dosim.Droplet) { d.NoAgent = true })
		b.droplet(1)
		b.pull()
		st := b.Status()
		if st.Droplets != 3 || len(st.Missing) != 2 || st.Missing[0] != 2 || st.Missing[1] != 3 || st.Err != nil {
			t.Errorf("status %+v", st)
		}
		if n := len(b.shelf.available(2)); n != 0 {
			t.Errorf("%d points of a droplet without an agent", n)
		}
		b.droplet(2)
		b.cloud.AddDroplet(dosim.Droplet{ID: 3}) // loses its tag
		time.Sleep(6 * time.Minute)
		b.pull()
		if st := b.Status(); len(st.Missing) != 0 || st.Droplets != 2 {
			t.Errorf("status %+v", st)
		}
	})
}

// Zero is what a broken agent says; nobody has no memory.
func TestNoZeros(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.droplet(1, func(d *dosim.Droplet) {
			d.Memory = func(at time.Time) (int64, int64) {
				if at.Minute() < 30 {
					return 0, 1 << 30
				}
				return 1 << 29, 1 << 30
			}
		})
		b.pull()
		if len(b.shelf.available(1)) == 0 {
			t.Fatal("nothing was pulled")
		}
		for key, points := range b.shelf.points {
			for _, v := range points {
				if v < 1 {
					t.Fatalf("%s holds %v", key, v)
				}
			}
		}
	})
}

func TestOneDropletsTroubleIsItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		for id := 1; id <= 3; id++ {
			b.droplet(id)
		}
		b.pull()
		pulled := b.Status().Pulled
		time.Sleep(4 * time.Minute)
		before := len(b.shelf.available(3))
		b.cloud.Inject(dosim.Fault{Path: "/v2/monitoring", Skip: 1, Times: 1, Status: http.StatusForbidden})
		err := b.Pull(t.Context())
		if err == nil || !strings.Contains(err.Error(), "droplet-2") || strings.Contains(err.Error(), "droplet-3") {
			t.Errorf("error %v", err)
		}
		if st := b.Status(); st.Err == nil || !st.Pulled.Equal(pulled) {
			t.Errorf("status %+v", st)
		}
		if len(b.shelf.available(3)) == before {
			t.Error("the third droplet was not pulled")
		}
		b.pull()
		if st := b.Status(); st.Err != nil || !st.Pulled.After(pulled) {
			t.Errorf("status %+v", st)
		}
	})
}

func TestTheLastListServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.cloud.Inject(dosim.Fault{Path: "/v2/droplets", Times: 2, Status: http.StatusForbidden})
		if _, err := b.Fleet(t.Context()); err == nil || strings.Count(err.Error(), "list droplets tagged dropleak: ") != 1 {
			t.Errorf("before any list: %v", err)
		}
		b.cloud.Inject(dosim.Fault{Path: "/v2/droplets", Times: 1, Status: http.StatusForbidden})
		b = newBed(t)
		b.droplet(1)
		if fleet, err := b.Fleet(t.Context()); err != nil || len(fleet.Droplets) != 1 {
			t.Fatalf("%v, %v", fleet, err)
		}
		n := len(b.cloud.Requests("GET", "/v2/droplets"))
		time.Sleep(4 * time.Minute)
		if _, err := b.Fleet(t.Context()); err != nil || len(b.cloud.Requests("GET", "/v2/droplets")) != n {
			t.Errorf("asked again within five minutes, or %v", err)
		}
		time.Sleep(2 * time.Minute)
		b.cloud.Inject(dosim.Fault{Path: "/v2/droplets", Status: http.StatusForbidden})
		fleet, err := b.Fleet(t.Context())
		if err != nil || len(fleet.Droplets) != 1 {
			t.Errorf("while the API is away: %v, %v", fleet, err)
		}
		if st := b.Status(); st.Err == nil || !st.Old || time.Since(st.Listed) != 6*time.Minute {
			t.Errorf("the status does not say that the list is old: %+v", st)
		}
	})
}

// After a restart while the API is away, the droplets are those of before,
// their age known; a list of another tag says nothing.
func TestTheListOutlivesTheProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.droplet(1)
		b.pull()
		listed := b.Status().Listed
		time.Sleep(3 * time.Hour)
		clear := b.cloud.Inject(dosim.Fault{Path: "/v2/droplets", Status: http.StatusForbidden})
		b.again()
		fleet, err := b.Fleet(t.Context())
		if err != nil || len(fleet.Droplets) != 1 || fleet.Droplets[0].Name != "droplet-1" || !fleet.Listed.Equal(listed) {
			t.Fatalf("%+v, %v", fleet, err)
		}
		if st := b.Status(); !st.Old || st.Err == nil || !st.Listed.Equal(listed) {
			t.Errorf("status %+v", st)
		}
		clear()
		b.droplet(2)
		if fleet, err := b.Fleet(t.Context()); err != nil || len(fleet.Droplets) != 2 || b.Status().Old {
			t.Errorf("when the API is back: %+v, %v", fleet, err)
		}
		b.cloud.Inject(dosim.Fault{Path: "/v2/droplets", Status: http.StatusForbidden})
		b.again(func(o *source.DigitalOceanOptions) { o.Tag = "other" })
		if fleet, err := b.Fleet(t.Context()); err == nil {
			t.Errorf("under another tag: %+v", fleet)
		}
		b.shelf.cursors["digitalocean/fleet"] = "{"
		b.again()
		if _, err := b.Fleet(t.Context()); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("with a list that cannot be read: %v", err)
		}
	})
}

// A list that says nothing new is not written again and again.
func TestTheListIsKeptWhenItChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.droplet(1)
		written := func(wait time.Duration) bool {
			time.Sleep(wait)
			b.shelf.cursors["digitalocean/fleet"] = ""
			if _, err := b.Fleet(t.Context()); err != nil {
				t.Fatal(err)
			}
			return b.shelf.cursors["digitalocean/fleet"] != ""
		}
		if !written(0) || written(6*time.Minute) || !written(time.Hour) {
			t.Error("the first list, the same one, and that of an hour later were not kept, not kept, and kept")
		}
		b.droplet(2)
		if !written(6 * time.Minute) {
			t.Error("another list was not kept")
		}
	})
}

// Who only wants to know how the source stands, or has a list to go on with,
// never waits for an API that hangs.
func TestAHangingAPIBlocksNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.droplet(1)
		b.pull()
		before := b.Status()
		time.Sleep(6 * time.Minute)
		b.cloud.Inject(dosim.Fault{Path: "/v2/droplets", Delay: 10 * time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = b.Pull(ctx) }() // its error is not what is asked here
		synctest.Wait()
		start := time.Now()
		if st := b.Status(); st.Droplets != 1 {
			t.Errorf("status %+v", st)
		}
		if fleet, err := b.Fleet(t.Context()); err != nil || len(fleet.Droplets) != 1 {
			t.Errorf("%v, %v", fleet, err)
		}
		if waited := time.Since(start); waited > 0 {
			t.Errorf("they waited for %v", waited)
		}
		cancel()
		<-done
		if st := b.Status(); !st.Asked.Equal(before.Asked) {
			t.Errorf("a pull that was broken off counts as asked at %v", st.Asked)
		}
	})
}

func TestWhoWaitsForTheFirstListMayLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.cloud.Inject(dosim.Fault{Path: "/v2/droplets", Delay: time.Hour})
		first, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _, _ = b.Fleet(first) }()
		synctest.Wait()
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		start := time.Now()
		if _, err := b.Fleet(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 3*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		cancel()
		<-done
	})
}

// A point that could not be kept is pulled again.
func TestWhatCouldNotBeKeptIsPulledAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.droplet(1)
		b.pull()
		held := len(b.shelf.available(1))
		time.Sleep(20 * time.Minute)
		b.shelf.err = errors.New("disk full")
		if err := b.Pull(t.Context()); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("error %v", err)
		}
		time.Sleep(20 * time.Minute)
		b.shelf.err = nil
		b.pull()
		if n := len(b.shelf.available(1)) - held; n != 20 {
			t.Errorf("%d new points in 40 minutes, want 20", n)
		}
	})
}

// paced is a cloud whose budget asks for a slower pace.
type paced struct {
	source.Cloud
	every time.Duration
}

func (p paced) Interval(int) time.Duration { return p.every }

func TestRunKeepsThePace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		every time.Duration // 0: as the client says
		scale float64
		want  int // pulls in an hour after the first
	}{
		{"as points appear", 0, 1, 30},
		{"as the budget allows", 10 * time.Minute, 1, 6},
		{"scaled", 0, 24, 720},
		{"never faster than once a second", 0, 1000, 3600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBed(t, func(o *source.DigitalOceanOptions) {
					if o.Scale = 0; tt.scale > 1 {
						o.Cloud = quick{}
						o.Scale = scaleOf(tt.scale)
					}
					if tt.every > 0 {
						o.Cloud = paced{o.Cloud, tt.every}
					}
				})
				b.droplet(1)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				b.pull()
				before := b.shelf.written()
				b.Run(ctx)
				if n := b.shelf.written() - before; n < tt.want-2 || n > tt.want+2 {
					t.Errorf("%d pulls in an hour, want %d", n, tt.want)
				}
			})
		})
	}
}

// quick is a cloud that answers at once, always.
type quick struct{}

func (quick) Droplets(context.Context, string) ([]doclient.Droplet, error) {
	return []doclient.Droplet{{ID: 1, Name: "web-1"}}, nil
}

func (quick) Memory(_ context.Context, id int64, _, to time.Time) (doclient.Memory, error) {
	return doclient.Memory{DropletID: id, Available: []doclient.Sample{{At: to, Bytes: 1 << 29}}}, nil
}

func (quick) Interval(int) time.Duration { return 2 * time.Minute }
