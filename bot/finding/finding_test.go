package finding

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func open() Finding {
	return Finding{ID: "f1", Subject: Subject{Kind: KindLeak, DropletID: "42", DropletName: "web-1", Worker: "mail"}, State: Open, Opened: noon}
}

func TestLife(t *testing.T) {
	moves := map[string]func(*Finding) error{
		"acknowledge": func(f *Finding) error { return f.Acknowledge("U1", noon) },
		"mute":        func(f *Finding) error { return f.Mute("U1", noon.Add(time.Hour), noon) },
		"dismiss":     func(f *Finding) error { return f.Dismiss("U1", "test data", noon) },
		"resolve":     func(f *Finding) error { return f.Resolve("flat for 6 h", noon) },
		"leave":       func(f *Finding) error { return f.Leave("left the fleet", noon) },
		"take":        func(f *Finding) error { return f.TakeInHand("r1", "U1", noon) },
	}
	for name, want := range map[string]State{"acknowledge": Acknowledged, "mute": Muted, "dismiss": Dismissed, "resolve": Resolved, "leave": Gone, "take": InHand} {
		f := open()
		if err := moves[name](&f); err != nil || f.State != want {
			t.Errorf("%s: %s, %v, want %s", name, f.State, err, want)
		}
		if f.State.Final() != !f.Closed.IsZero() {
			t.Errorf("%s: final %v but closed %v", name, f.State.Final(), f.Closed)
		}
	}
	for _, final := range []string{"dismiss", "resolve", "leave"} {
		for name, move := range moves {
			f := open()
			if err := moves[final](&f); err != nil {
				t.Fatal(err)
			}
			was := f
			var over *FinalError
			if err := move(&f); !errors.As(err, &over) || f.State != was.State || f.By != was.By {
				t.Errorf("%s after %s: %v, state %s", name, final, err, f.State)
			}
		}
	}
}

func TestRunHoldsFinding(t *testing.T) {
	f := open()
	_ = f.TakeInHand("r1", "U1", noon)
	if err := f.Release("r2", "failed", noon); err != nil || f.State != InHand {
		t.Errorf("another run released it: %s, %v", f.State, err)
	}
	if err := f.Release("r1", "failed", noon); err != nil || f.State != Open || f.RunID != "r1" {
		t.Errorf("its own run: %s %s, %v", f.State, f.RunID, err)
	}
}

func TestWake(t *testing.T) {
	for name, c := range map[string]struct {
		until time.Time
		worse bool
		at    time.Time
		want  bool
	}{
		"time has not come": {noon.Add(time.Hour), true, noon.Add(59 * time.Minute), false},
		"time has come":     {noon.Add(time.Hour), false, noon.Add(time.Hour), true},
		"not worse":         {time.Time{}, false, noon.Add(1000 * time.Hour), false},
		"worse":             {time.Time{}, true, noon.Add(time.Minute), true},
	} {
		f := open()
		if err := f.Mute("U1", c.until, noon); err != nil {
			t.Fatal(err)
		}
		if got := f.Wake(c.worse, c.at); got != c.want || (f.State == Open) != c.want {
			t.Errorf("%s: woke %v, state %s", name, got, f.State)
		}
	}
	f := open()
	if f.Wake(true, noon) {
		t.Error("an open finding cannot wake")
	}
}

func TestGrade(t *testing.T) {
	in := func(d time.Duration) *detector.Exhaustion { return &detector.Exhaustion{Expected: noon.Add(d)} }
	for _, c := range []struct {
		e     *detector.Exhaustion
		kills int
		want  Severity
	}{
		{nil, 0, Low}, {nil, 1, Critical}, {in(-time.Hour), 0, Critical}, {in(time.Hour), 0, Critical},
		{in(3 * time.Hour), 0, High}, {in(30 * time.Hour), 0, Medium}, {in(300 * time.Hour), 0, Low},
	} {
		if got := Grade(c.e, c.kills, noon); got != c.want {
			t.Errorf("Grade(%+v, %d) = %s, want %s", c.e, c.kills, got, c.want)
		}
	}
	if !Critical.Worse(High) || Low.Worse(Low) || !Low.Worse("") {
		t.Error("severities are out of order")
	}
}

// contested is a Store whose first update loses against somebody else.
type contested struct {
	Store
	f    Finding
	lost int
}

func (c *contested) Finding(context.Context, string) (Finding, error) { return c.f, nil }

func (c *contested) UpdateFinding(_ context.Context, f Finding) error {
	if c.lost == 0 {
		c.lost++
		c.f.Version, c.f.MessageTS = c.f.Version+1, "1.5"
		return ErrConflict
	}
	if f.Version != c.f.Version {
		return ErrConflict
	}
	c.f = f
	c.f.Version++
	return nil
}

func TestChangeLosesNothing(t *testing.T) {
	c := &contested{f: open()}
	got, err := Change(t.Context(), c, "f1", func(f *Finding) error { return f.Acknowledge("U1", noon) })
	if err != nil || got.State != Acknowledged || got.MessageTS != "1.5" || got.Version != c.f.Version {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Change(t.Context(), c, "f1", func(*Finding) error { return ErrUnchanged }); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func TestSubject(t *testing.T) {
	s := open().Subject
	if s.Key() != "leak/42/mail" || s.Title() != "mail on web-1" {
		t.Errorf("%s, %s", s.Key(), s.Title())
	}
	s.Worker, s.DropletName = "", ""
	if s.Title() != "42" {
		t.Errorf("a droplet without a name: %s", s.Title())
	}
	s = Subject{Kind: KindLeak, Worker: "mail"}
	if s.Title() != "mail" {
		t.Errorf("a worker of no droplet: %q", s.Title())
	}
}

// The memory of a droplet belongs to what went missing, as its workers do,
// whether it is back or not.
func TestMissingMemory(t *testing.T) {
	m := &Missing{Workers: []string{"video"}, Back: []string{"mail"}, Memory: true}
	if m.Gone("mail") || !m.Gone("") || !m.Of("mail") || !m.Of("") || m.Of("beat") {
		t.Errorf("of %+v", m)
	}
	back := m.Returned().Returned()
	if want := (&Missing{Back: []string{"mail", "video"}, MemoryBack: true}); !back.Equal(want) {
		t.Errorf("back %+v, want %+v", back, want)
	}
	if back.Gone("") || !back.Of("") || back.Equal(&Missing{Back: back.Back}) {
		t.Errorf("back %+v", back)
	}
	if m := (&Missing{Workers: []string{"mail"}}).Returned(); m.Of("") {
		t.Errorf("memory that never went: %+v", m)
	}
}
