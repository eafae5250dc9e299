package doclient_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

func TestErroredActionIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.FailActions("snapshot", 1)
		a, err := w.executor.Snapshot(ctx, web1, "run-1")
		check(t, err)
		last, err := w.executor.Await(ctx, a.ID, doclient.AwaitOptions{})
		if !errors.Is(err, doclient.ErrActionErrored) || last.Status != doclient.Errored || last.ID != a.ID {
			t.Errorf("%+v %v", last, err)
		}
		if _, err := w.executor.SnapshotByName(ctx, web1, "run-1"); !errors.Is(err, doclient.ErrNotFound) {
			t.Errorf("snapshot of an errored action: %v", err)
		}
	})
}

// An action that is not found is given time to show, and no more than that.
func TestGraceForFreshActions(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.Kind()
		a, err := w.executor.Reboot(ctx, web1)
		check(t, err)
		w.Inject(times(dosim.Fault{Status: 404}, 4))
		last, err := w.executor.Await(ctx, a.ID, doclient.AwaitOptions{})
		if err != nil || last.Status != doclient.Completed {
			t.Errorf("%+v %v", last, err)
		}
		began := time.Now()
		_, err = w.executor.Await(ctx, 5, doclient.AwaitOptions{Grace: time.Minute})
		if took := time.Since(began); !errors.Is(err, doclient.ErrNotFound) || took < time.Minute || took > 80*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{Durations: map[string]time.Duration{"snapshot": 3 * time.Hour}})
		a, err := w.executor.Snapshot(ctx, web1, "run-1")
		check(t, err)
		short, cancel := context.WithTimeout(ctx, 10*time.Minute)
		defer cancel()
		began := time.Now()
		last, err := w.executor.Await(short, a.ID, doclient.AwaitOptions{})
		if !errors.Is(err, context.DeadlineExceeded) || last.Status != doclient.InProgress {
			t.Errorf("%+v %v", last, err)
		}
		if took := time.Since(began); took < 9*time.Minute || took > 10*time.Minute {
			t.Errorf("ended after %v", took)
		}
		if n := len(w.Requests("GET", "/v2/actions")); n < 35 || n > 60 {
			t.Errorf("%d looks in ten minutes, want about 40", n)
		}
	})
}

// Looks are spread: with jitter no two pauses are alike.
func TestLooksAreJittered(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.Kind()
		a, err := w.executor.Snapshot(ctx, web1, "run-1")
		check(t, err)
		_, err = w.executor.Await(ctx, a.ID, doclient.AwaitOptions{Every: 10 * time.Second})
		check(t, err)
		looks, pauses := w.Requests("GET", "/v2/actions"), map[time.Duration]bool{}
		for i := 1; i < len(looks); i++ {
			p := looks[i].At.Sub(looks[i-1].At)
			if pauses[p] = true; p < 8*time.Second || p > 12*time.Second {
				t.Errorf("pause %v", p)
			}
		}
		if len(pauses) < 8 {
			t.Errorf("pauses %v", pauses)
		}
	})
}

// An outage of the API does not end the wait; a revoked token does.
func TestAwaitOutlastsAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		a, err := w.executor.Snapshot(ctx, web1, "run-1")
		check(t, err)
		clear := w.Inject(dosim.BadGateway.On("GET", "/"))
		time.AfterFunc(20*time.Minute, clear)
		last, err := w.executor.Await(ctx, a.ID, doclient.AwaitOptions{})
		if err != nil || last.Status != doclient.Completed {
			t.Errorf("%+v %v", last, err)
		}
		w.RevokeToken(writeToken)
		if _, err := w.executor.Await(ctx, a.ID, doclient.AwaitOptions{}); !errors.Is(err, doclient.ErrUnauthorized) {
			t.Errorf("with a revoked token: %v", err)
		}
	})
}

// A busy droplet's refusal is certain, so the order is given again until it is
// taken; each attempt goes through the caller, who journals it.
func TestPendingEventIsRetried(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.StartAction(web1, "snapshot", "somebody else's")
		asked := 0
		a, err := doclient.RetryPending(ctx, doclient.AwaitOptions{}, func(ctx context.Context) (doclient.Action, error) {
			asked++
			return w.executor.Snapshot(ctx, web1, "run-1")
		})
		if err != nil || a.ID == 0 || asked < 3 || posts(w) != asked {
			t.Errorf("%+v %v after asking %d times, %d POSTs", a, err, asked, posts(w))
		}
	})
}

func TestPendingRetryEnds(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{Durations: map[string]time.Duration{"snapshot": 5 * time.Hour}})
		w.StartAction(web1, "snapshot", "somebody else's")
		reboot := func(ctx context.Context) (doclient.Action, error) { return w.executor.Reboot(ctx, web1) }
		short, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err := doclient.RetryPending(short, doclient.AwaitOptions{}, reboot)
		if !errors.Is(err, context.DeadlineExceeded) || !doclient.Pending(err) || doclient.Unclear(err) {
			t.Errorf("at the deadline: %v", err)
		}
		before := posts(w)
		w.Inject(dosim.DropAfter.On("POST", "/"))
		if _, err = doclient.RetryPending(ctx, doclient.AwaitOptions{}, reboot); !doclient.Unclear(err) || posts(w) != before+1 {
			t.Errorf("%d POSTs although the first was unclear: %v", posts(w)-before, err)
		}
	})
}

func TestAwaitFree(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		check(t, w.reader.AwaitFree(ctx, web1, doclient.AwaitOptions{}))
		began := time.Now()
		w.StartAction(web1, "snapshot", "somebody else's")
		time.Sleep(5 * time.Second) // fresh actions are not listed
		var heard doclient.Action
		check(t, w.reader.AwaitFree(ctx, web1, doclient.AwaitOptions{Progress: func(a doclient.Action) { heard = a }}))
		if took := time.Since(began); took < 2*time.Minute || heard.Type != doclient.TypeSnapshot {
			t.Errorf("free after %v, heard of %+v", took, heard)
		}
		began = time.Now()
		if err := w.reader.AwaitFree(ctx, 99, doclient.AwaitOptions{}); !errors.Is(err, doclient.ErrNotFound) || time.Since(began) > 10*time.Second {
			t.Errorf("no such droplet, after %v: %v", time.Since(began), err)
		}
	})
}

// The answer of a snapshot order is lost. Observing finds its action when it was
// carried out, nothing when it was not, and both when somebody else's is there.
func TestObserveAfterALostAnswer(t *testing.T) {
	tests := []struct {
		name   string
		fault  dosim.Fault
		others int
		want   int
	}{
		{"carried out", dosim.DropAfter, 0, 1},
		{"carried out, but 500", dosim.ErrorAfter, 0, 1},
		{"not carried out", dosim.DropBefore, 0, 0},
		{"and somebody else's", dosim.DropAfter, 1, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context) {
				w := newWorld(t, dosim.Options{Durations: map[string]time.Duration{"snapshot": 10 * time.Second, "reboot": time.Second}})
				w.StartAction(web1, "snapshot", "long before")
				time.Sleep(time.Minute)
				w.Inject(tt.fault.On("POST", "/").Once())
				sent := time.Now()
				if _, err := w.executor.Snapshot(ctx, web1, "run-1"); !doclient.Unclear(err) {
					t.Fatalf("clear: %v", err)
				}
				time.AfterFunc(20*time.Second, func() { w.StartAction(web1, "reboot", "") })
				time.AfterFunc(40*time.Second, func() {
					for range tt.others {
						w.StartAction(web1, "snapshot", "theirs")
					}
				})
				found, err := w.reader.Observe(ctx, web1, doclient.TypeSnapshot, sent, doclient.AwaitOptions{})
				if err != nil || len(found) != tt.want {
					t.Errorf("%d candidates, want %d: %v", len(found), tt.want, err)
				}
				if took := time.Since(sent); took < 2*time.Minute {
					t.Errorf("observed for %v only", took)
				}
				_, err = w.reader.SnapshotByName(ctx, web1, "run-1")
				if (err == nil) != tt.fault.Act {
					t.Errorf("the snapshot's name: %v", err)
				}
				if posts(w) != 1 {
					t.Errorf("%d POSTs", posts(w))
				}
			})
		})
	}
}

// A snapshot is listed a little after its action completed; one that never comes
// is not waited for without end.
func TestAwaitSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		a, err := w.executor.Snapshot(ctx, web1, "run-1")
		check(t, err)
		_, err = w.executor.AwaitSnapshot(ctx, web1, "run-1", doclient.AwaitOptions{Grace: 30 * time.Second})
		if !errors.Is(err, doclient.ErrNotFound) || !strings.Contains(err.Error(), `"run-1"`) {
			t.Errorf("while in progress: %v", err)
		}
		_, err = w.executor.Await(ctx, a.ID, doclient.AwaitOptions{Every: time.Second})
		check(t, err)
		_, err = w.executor.AwaitSnapshot(ctx, web1, "run-1", doclient.AwaitOptions{Every: time.Second})
		check(t, err)
		w.AddSnapshot(web1, "run-1", time.Now())
		if _, err = w.executor.AwaitSnapshot(ctx, web1, "run-1", doclient.AwaitOptions{}); !errors.Is(err, doclient.ErrAmbiguous) {
			t.Errorf("two of that name: %v", err)
		}
	})
}
