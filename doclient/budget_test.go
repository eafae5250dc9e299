package doclient_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// hammer reads a droplet as fast as the pace lets it, resting every between, for
// four hours.
func hammer(ctx context.Context, r *doclient.Reader, every time.Duration) error {
	for began := time.Now(); time.Since(began) < 4*time.Hour; time.Sleep(every) {
		if _, err := r.Droplet(ctx, web1); err != nil {
			return err
		}
	}
	return nil
}

func refusals(w world) (n int) {
	for _, e := range w.Requests("GET", "/") {
		if e.Status == 429 {
			n++
		}
	}
	return n
}

// Alone, a poller that never rests stays below both limits for hours; sharing
// the token with somebody who takes 2,000 an hour, it gives way and neither is
// refused.
func TestHourlyLimitIsNeverReached(t *testing.T) {
	for name, other := range map[string]time.Duration{"alone": 0, "sharing": 1800 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
				defer cancel()
				w := newWorld(t, dosim.Options{})
				w.Kind()
				var wg sync.WaitGroup
				if other > 0 {
					stranger, _ := w.clients(t, func(o *doclient.Options) { o.Pace = doclient.Pace{PerSecond: 4, Burst: 1, Reserve: 0.01} })
					wg.Go(func() {
						if err := hammer(ctx, stranger, other); err != nil {
							t.Errorf("the token's other user: %v", err)
						}
					})
				}
				lowest := 5000
				wg.Go(func() {
					for range 4 * 60 {
						time.Sleep(time.Minute)
						lowest = min(lowest, w.reader.Rate().Remaining)
					}
				})
				if err := hammer(ctx, w.reader, 0); err != nil {
					t.Error(err)
				}
				wg.Wait()
				if n := refusals(w); n != 0 {
					t.Errorf("%d requests were refused", n)
				}
				if floor := map[bool]int{true: 1250, false: 300}[other == 0]; lowest < floor {
					t.Errorf("%d requests remained at the worst", lowest)
				}
				if n := len(w.Requests("GET", "/")); n < 4*3300 {
					t.Errorf("only %d requests in four hours", n)
				}
			})
		})
	}
}

// When the others leave nothing above the reserve, one GET a minute is left.
func TestReserveIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{HourlyLimit: 1000, BurstLimit: 1000})
		w.Kind()
		greedy, _ := w.clients(t, func(o *doclient.Options) { o.Pace = doclient.Pace{PerSecond: 1000, Burst: 900, Reserve: 0.001} })
		for range 800 {
			_, err := greedy.Droplet(ctx, web1)
			check(t, err)
		}
		for range 11 { // the burst, and one that waits
			_, err := w.reader.Droplet(ctx, web1)
			check(t, err)
		}
		before := time.Now()
		_, err := w.reader.Droplet(ctx, web1)
		check(t, err)
		if waited := time.Since(before); waited < 50*time.Second || waited > 70*time.Second {
			t.Errorf("waited %v", waited)
		}
		if b := w.reader.Rate(); !b.Known || b.Limit != 1000 || b.Remaining != 188 || b.PerSecond > 0.02 {
			t.Errorf("budget %+v", b)
		}
	})
}

// A refusal holds every GET of the client, not only the one refused, and an
// order does not wait.
func TestRefusalHoldsAll(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.Kind()
		w.Inject(dosim.Burst.On("GET", "/").Once())
		began := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := w.executor.Droplet(ctx, web1); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Second)
		}
		_, err := w.executor.Reboot(ctx, web1)
		check(t, err)
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("the order waited %v", waited)
		}
		wg.Wait()
		for _, e := range w.Requests("GET", "/")[1:] {
			if at := e.At.Sub(began); at < 20*time.Second {
				t.Errorf("a GET left after %v", at)
			}
		}
	})
}

// Without rate headers nothing is known, and zeros mean nothing.
func TestNoHeadersIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reader(t, says(200, "application/json", `{"droplet":{"id":42}}`))
		began := time.Now()
		for range 10 {
			if _, err := r.Droplet(t.Context(), 42); err != nil {
				t.Fatal(err)
			}
		}
		if b := r.Rate(); b.Known || b.PerSecond != 1 || time.Since(began) != 0 {
			t.Errorf("budget %+v after %v", b, time.Since(began))
		}
	})
}

func TestInterval(t *testing.T) {
	r := reader(t, says(200, "application/json", `{}`))
	for droplets, want := range map[int]time.Duration{
		0: 2 * time.Minute, 1: 2 * time.Minute, 112: 2 * time.Minute, 225: 4 * time.Minute, 3375: time.Hour,
	} {
		if got := r.Interval(droplets); got != want {
			t.Errorf("%d droplets: every %v, want %v", droplets, got, want)
		}
	}
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{HourlyLimit: 400})
		w.Kind()
		_, err := w.reader.Droplet(ctx, web1)
		check(t, err)
		if got := w.reader.Interval(90); got != 20*time.Minute { // of 400 an hour 270 are ours
			t.Errorf("with a limit of 400: %v", got)
		}
	})
}

func TestOffsetSpreadsTheFleet(t *testing.T) {
	const every = 2 * time.Minute
	var quarter [4]int
	for id := int64(300_000_000); id < 300_000_400; id++ {
		o := doclient.Offset(id, every)
		if o < 0 || o >= every || o != doclient.Offset(id, every) {
			t.Fatalf("offset %v of %d", o, id)
		}
		quarter[int(o*4/every)]++
	}
	for i, n := range quarter {
		if n < 60 || n > 140 {
			t.Errorf("quarter %d has %d of 400", i, n)
		}
	}
	if doclient.Offset(1, 0) != 0 {
		t.Error("an offset within nothing")
	}
}

// A refusal for the minute says that nothing remains; the hour's pace is not to
// be judged by it.
func TestRefusalOfTheMinuteSaysNothingOfTheHour(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.Kind()
		_, err := w.reader.Droplet(ctx, web1)
		check(t, err)
		before := w.reader.Rate()
		w.Inject(dosim.Burst.On("GET", "/v2/droplets").Once())
		short, cancel := context.WithTimeout(ctx, 5*time.Second) // ends before the wait that is asked for
		defer cancel()
		if _, err := w.reader.Droplet(short, web1); err == nil {
			t.Fatal("the refusal was not told")
		}
		after := w.reader.Rate()
		if after.PerSecond != before.PerSecond || time.Until(after.HeldUntil).Round(time.Second) != 20*time.Second {
			t.Errorf("pace %g, was %g; held for %s, want 20s", after.PerSecond, before.PerSecond, time.Until(after.HeldUntil))
		}
	})
}
