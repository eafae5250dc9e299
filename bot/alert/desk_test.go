package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a Store that may die.
type memory struct {
	mu   sync.Mutex
	rows map[string]Due
	puts int
	dies int // the put that is the process's last; 0: none
}

var errDead = errors.New("this process is dead")

func (m *memory) Dues(context.Context) (out []Due, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.rows {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Due) int {
		return slices.Compare([]byte(a.Endpoint+a.Alert.Key), []byte(b.Endpoint+b.Alert.Key))
	})
	return out, nil
}

func (m *memory) PutDue(_ context.Context, d Due) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.puts++; m.dies > 0 && m.puts >= m.dies {
		return errDead
	}
	key := d.Endpoint + " " + d.Alert.Key
	if m.rows[key].Seq != d.Seq {
		return ErrConflict
	}
	d.Seq++
	m.rows[key] = d
	return nil
}

func (m *memory) DropDue(_ context.Context, d Due) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := d.Endpoint + " " + d.Alert.Key
	if m.rows[key].Seq != d.Seq {
		return ErrConflict
	}
	delete(m.rows, key)
	return nil
}

// bell is an endpoint that remembers what it was told.
type bell struct {
	mu      sync.Mutex
	name    string
	told    []string // "firing f1 v1"
	fail    []error  // of the next tries
	refresh time.Duration
	hang    chan struct{}
	at      []time.Time // of each try
}

func (b *bell) Name() string           { return b.name }
func (b *bell) Refresh() time.Duration { return b.refresh }

func (b *bell) Send(ctx context.Context, d Due) error {
	if b.hang != nil {
		<-ctx.Done()
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = append(b.at, time.Now())
	if len(b.fail) > 0 {
		err := b.fail[0]
		if b.fail = b.fail[1:]; err != nil {
			return err
		}
	}
	b.told = append(b.told, fmt.Sprintf("%s %s v%d", status(d), d.Alert.Key, d.Version))
	return nil
}

// scene is a desk with what it should call for.
type scene struct {
	t     *testing.T
	store *memory
	bells []*bell
	want  []Alert
	blind error // Wanted fails
}

func newScene(t *testing.T, names ...string) *scene {
	s := &scene{t: t, store: &memory{rows: map[string]Due{}}}
	for _, n := range names {
		s.bells = append(s.bells, &bell{name: n})
	}
	return s
}

func (s *scene) desk() *Desk {
	o := Options{Store: s.store, Wanted: func(context.Context) ([]Alert, error) { return s.want, s.blind }}
	for _, b := range s.bells {
		o.Endpoints = append(o.Endpoints, b)
	}
	return New(o)
}

// run lets a desk work for a while.
func (s *scene) run(d *Desk, long time.Duration) {
	for start := time.Now(); time.Since(start) < long; time.Sleep(time.Second) {
		if err := d.Once(s.t.Context()); err != nil && s.blind == nil && s.store.dies == 0 {
			s.t.Error(err)
		}
	}
}

func (s *scene) told(want ...string) {
	s.t.Helper()
	for _, b := range s.bells {
		if !slices.Equal(b.told, want) {
			s.t.Errorf("%s was told %q, want %q", b.name, b.told, want)
		}
	}
}

func leak(key string) Alert {
	return Alert{Key: key, Kind: RunningOut, Severity: Error, Title: "mail on web-1 runs out", Since: time.Now()}
}

// Each endpoint is told once of the trouble and once of its end, and again
// when it comes back.
func TestToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "webhook", "pagerduty")
		d := s.desk()
		s.want = []Alert{leak("f1")}
		s.run(d, time.Minute)
		s.told("firing f1 v1")
		s.want = nil
		s.run(d, time.Minute)
		s.told("firing f1 v1", "resolved f1 v2")
		s.want = []Alert{leak("f1")}
		s.run(d, time.Minute)
		s.told("firing f1 v1", "resolved f1 v2", "firing f1 v3")
		worse := leak("f1")
		worse.Severity, worse.Title = Critical, "mail on web-1 runs out now"
		s.want = []Alert{worse}
		s.run(d, time.Minute)
		s.told("firing f1 v1", "resolved f1 v2", "firing f1 v3", "firing f1 v4")
		s.want = []Alert{leak("f1")} // milder is no news
		s.run(d, time.Minute)
		s.told("firing f1 v1", "resolved f1 v2", "firing f1 v3", "firing f1 v4")
	})
}

// An endpoint that is away is tried again, later and later, as it asks, also
// by the process after this one.
func TestTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "webhook")
		b := s.bells[0]
		away := errors.New("connection refused")
		b.fail = []error{away, away, away, &RefusedError{Status: 429, After: 10 * time.Minute}, away}
		s.want = []Alert{leak("f1")}
		s.run(s.desk(), 5*time.Second)
		if told, err := s.desk().Trouble(t.Context()); err != nil || len(told) != 0 {
			t.Errorf("after two tries: %q, %v", told, err)
		}
		s.run(s.desk(), 3*time.Minute)
		if told, err := s.desk().Trouble(t.Context()); err != nil || len(told) != 1 {
			t.Errorf("after four tries: %q, %v", told, err)
		}
		s.run(s.desk(), 15*time.Minute)
		s.told("firing f1 v1")
		var rests []int
		for i, at := range b.at[1:] {
			rests = append(rests, int(at.Sub(b.at[i]).Seconds()))
		}
		if want := []int{2, 4, 8, 600, 32}; !slices.Equal(rests, want) {
			t.Errorf("rests %v, want %v", rests, want)
		}
		b.fail, s.want = []error{away, away}, nil // the end is told until it is taken, too
		s.run(s.desk(), time.Minute)
		s.told("firing f1 v1", "resolved f1 v2")
	})
}

// A process that dies at any of its writes loses nothing; what was told and
// not written down is told again, and is the same news.
func TestSurvivesDeath(t *testing.T) {
	for dies := 1; dies <= 6; dies++ {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, "webhook")
			s.store.dies = dies
			s.want = []Alert{leak("f1")}
			s.run(s.desk(), 10*time.Second)
			s.store.dies = 0
			s.run(s.desk(), 2*time.Minute)
			s.want = nil
			s.run(s.desk(), time.Minute)
			told := slices.Compact(s.bells[0].told)
			if !slices.Equal(told, []string{"firing f1 v1", "resolved f1 v2"}) {
				t.Errorf("died at write %d: told %q", dies, s.bells[0].told)
			}
			if len(s.bells[0].told) > 3 {
				t.Errorf("died at write %d: told more than once again: %q", dies, s.bells[0].told)
			}
		})
	}
}

// Two processes share the outbox: each piece of news is told once.
func TestTwoDesks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "webhook")
		s.want = []Alert{leak("f1"), leak("f2")}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { s.run(s.desk(), time.Minute) })
		}
		wg.Wait()
		slices.Sort(s.bells[0].told)
		s.told("firing f1 v1", "firing f2 v1")
	})
}

// Not to know is not to resolve.
func TestBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "webhook")
		s.want = []Alert{leak("f1")}
		d := s.desk()
		s.run(d, 10*time.Second)
		s.want, s.blind = nil, errors.New("the store is away")
		s.run(d, time.Minute)
		s.told("firing f1 v1")
	})
}

// What was over before anybody could be told is told to nobody; what an
// endpoint may have taken is ended there.
func TestOverBeforeTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "webhook")
		s.want = []Alert{leak("f1")}
		if err := s.desk().settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.want = nil
		s.run(s.desk(), time.Minute)
		s.told()
		s.want, s.bells[0].fail = []Alert{leak("f2")}, []error{errors.New("reset by peer")}
		if err := s.desk().Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.want = nil
		s.run(s.desk(), time.Minute)
		s.told("resolved f2 v2")
	})
}

// One endpoint that hangs holds no other up.
func TestOneHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "webhook", "pagerduty")
		s.bells[0].hang = make(chan struct{})
		s.want = []Alert{leak("f1")}
		began := time.Now()
		go func() { _ = s.desk().Once(t.Context()) }()
		synctest.Wait()
		if len(s.bells[1].told) != 1 || time.Since(began) > 0 {
			t.Errorf("told %q after %v", s.bells[1].told, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// An endpoint that forgets is reminded; long after the end the row goes.
func TestRefreshedThenForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "alertmanager")
		s.bells[0].refresh = time.Minute
		s.want = []Alert{leak("f1")}
		d := s.desk()
		s.run(d, 3*time.Minute+10*time.Second)
		s.told("firing f1 v1", "firing f1 v1", "firing f1 v1", "firing f1 v1")
		s.want = nil
		s.run(d, 10*time.Minute)
		s.told("firing f1 v1", "firing f1 v1", "firing f1 v1", "firing f1 v1", "resolved f1 v2")
		time.Sleep(8 * 24 * time.Hour)
		s.run(d, 10*time.Second)
		if len(s.store.rows) != 0 {
			t.Errorf("%d rows stay", len(s.store.rows))
		}
	})
}
