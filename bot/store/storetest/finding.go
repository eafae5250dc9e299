package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/detector"
	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func leak(id, droplet, worker string) finding.Finding {
	rate := detector.Interval{Low: 1, Value: 2, High: 3}
	return finding.Finding{
		ID:      id,
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: droplet, Worker: worker},
		State:   finding.Open, Version: 1, Severity: finding.High,
		Opened: noon, Updated: noon, LastSeen: noon,
		Verdict: detector.Verdict{Kind: detector.Leak, Reason: detector.ReasonLeak, Rate: &rate, Onset: &noon},
	}
}

// findingIncident: members are found by their incident, also those that joined
// after they were opened, and those that are over.
func findingIncident(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	for i, incident := range []string{"f0", "", "f0", "f9"} {
		f := leak(fmt.Sprint("f", i), fmt.Sprint(40+i), "mailer")
		f.Incident = incident
		if err := s.OpenFinding(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	for id, incident := range map[string]string{"f1": "f0", "f2": "f0"} {
		_, err := finding.Change(ctx, s, id, func(f *finding.Finding) error {
			f.Incident = incident
			if id == "f2" {
				return f.Resolve("level", noon)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for want, q := range map[string]finding.Filter{"f0 f1 f2": {Incident: "f0"}, "f0 f1": {Incident: "f0", Live: true}, "f3": {Incident: "f9"}, "": {Incident: "f1"}} {
		found, err := s.Findings(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, f := range found {
			ids = append(ids, f.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%+v: %q, want %q", q, got, want)
		}
	}
}

func findingLife(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	want := leak("f1", "42", "mailer")
	if err := s.OpenFinding(ctx, want); err != nil {
		t.Fatal(err)
	}
	got, err := s.LiveFinding(ctx, want.Subject.Key())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("stored and read (-want +got):\n%s", d)
	}
	got.State, got.Why, got.Closed = finding.Resolved, "gone", noon.Add(time.Hour)
	if err := s.UpdateFinding(ctx, got); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateFinding(ctx, got); !errors.Is(err, finding.ErrConflict) {
		t.Errorf("update with an old version: %v, want %v", err, finding.ErrConflict)
	}
	if _, err := s.LiveFinding(ctx, want.Subject.Key()); !errors.Is(err, finding.ErrNotFound) {
		t.Errorf("live finding after resolution: %v, want %v", err, finding.ErrNotFound)
	}
	again, err := s.Finding(ctx, "f1")
	if err != nil || again.Version != 2 || again.Why != "gone" {
		t.Errorf("read back %+v, %v; want version 2", again, err)
	}
	again.State = finding.Open
	if err := s.UpdateFinding(ctx, again); !errors.Is(err, finding.ErrConflict) {
		t.Errorf("a resolved finding opened again: %v, want %v", err, finding.ErrConflict)
	}
	if err := s.UpdateFinding(ctx, finding.Finding{ID: "none"}); !errors.Is(err, finding.ErrNotFound) {
		t.Errorf("update of nothing: %v, want %v", err, finding.ErrNotFound)
	}
}

// findingSource: a source has one finding, beside those of others, and it is
// read back whole.
func findingSource(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	about := func(id, source string) finding.Finding {
		return finding.Finding{ID: id, State: finding.Open, Version: 1, Severity: finding.High, Opened: noon, Updated: noon, LastSeen: noon, Began: noon,
			Subject: finding.Subject{Kind: finding.KindSource, Source: source}, Outage: &finding.Outage{Workers: 12, Droplets: 5, Trouble: "refused"}}
	}
	for _, tt := range []struct {
		id, source string
		want       error
	}{{"f1", "prometheus", nil}, {"f2", "ssh", nil}, {"f3", "prometheus", finding.ErrConflict}} {
		if err := s.OpenFinding(ctx, about(tt.id, tt.source)); !errors.Is(err, tt.want) {
			t.Errorf("%s about %s: %v, want %v", tt.id, tt.source, err, tt.want)
		}
	}
	want := about("f1", "prometheus")
	got, err := s.LiveFinding(ctx, want.Subject.Key())
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v, stored and read (-want +got):\n%s", err, d)
	}
}

// findingMissing: what of a droplet went missing together is read back whole.
func findingMissing(t *testing.T, dsn string) {
	s := Open(t, dsn)
	want := finding.Finding{ID: "f1", State: finding.Open, Version: 1, Severity: finding.High, Opened: noon, Updated: noon, LastSeen: noon, Began: noon,
		Subject: finding.Subject{Kind: finding.KindMissing, DropletID: "42", DropletName: "web-1"},
		Missing: &finding.Missing{Workers: []string{"mail", "video"}, Back: []string{"beat"}, Memory: true, Off: true, MemoryBack: true}}
	if err := s.OpenFinding(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := s.LiveFinding(t.Context(), want.Subject.Key())
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v, stored and read (-want +got):\n%s", err, d)
	}
}

func findingUnique(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	first := leak("f1", "42", "mailer")
	if err := s.OpenFinding(ctx, first); err != nil {
		t.Fatal(err)
	}
	if err := s.OpenFinding(ctx, leak("f2", "42", "mailer")); !errors.Is(err, finding.ErrConflict) {
		t.Fatalf("second live finding: %v, want %v", err, finding.ErrConflict)
	}
	first.State = finding.Dismissed
	if err := s.UpdateFinding(ctx, first); err != nil {
		t.Fatal(err)
	}
	if err := s.OpenFinding(ctx, leak("f2", "42", "mailer")); err != nil {
		t.Fatalf("a new finding after the first was dismissed: %v", err)
	}
}

// findingRace lets many writers change one finding through two handles, as
// two replicas or a service and a command do. None may be lost.
func findingRace(t *testing.T, dsn string) {
	a := Open(t, dsn)
	b, err := store.Open(t.Context(), dsn, store.Options{Beside: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := a.OpenFinding(t.Context(), leak("f1", "42", "mailer")); err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 10
	var wg sync.WaitGroup
	for w := range writers {
		s := []*store.Store{a, b}[w%2]
		wg.Go(func() {
			for n := 0; n < each; {
				f, err := s.Finding(t.Context(), "f1")
				if err == nil {
					f.OOMKills++
					err = s.UpdateFinding(t.Context(), f)
				}
				switch {
				case err == nil:
					n++
				case !errors.Is(err, finding.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	f, err := a.Finding(t.Context(), "f1")
	if err != nil || f.OOMKills != writers*each || f.Version != writers*each+1 {
		t.Errorf("after %d changes: count %d, version %d, %v", writers*each, f.OOMKills, f.Version, err)
	}
}

func findingList(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	for i, sev := range []finding.Severity{finding.Low, finding.Critical, finding.Medium, finding.Critical} {
		f := leak(fmt.Sprint("f", i), fmt.Sprint(i%2), fmt.Sprint("w", i))
		f.Severity, f.Opened, f.Updated = sev, noon.Add(-time.Duration(i)*time.Hour), noon.Add(time.Duration(i)*time.Hour)
		if i == 2 {
			f.State = finding.Resolved
		}
		if err := s.OpenFinding(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		f    finding.Filter
		want []string
	}{
		{"all, worst first, then oldest", finding.Filter{}, []string{"f3", "f1", "f2", "f0"}},
		{"live", finding.Filter{Live: true}, []string{"f3", "f1", "f0"}},
		{"droplet", finding.Filter{DropletID: "0"}, []string{"f2", "f0"}},
		{"worker", finding.Filter{Worker: "w1"}, []string{"f1"}},
		{"since and limit", finding.Filter{Since: noon.Add(time.Hour), Limit: 2}, []string{"f3", "f1"}},
	} {
		fs, err := s.Findings(ctx, c.f)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, f := range fs {
			ids = append(ids, f.ID)
		}
		if d := cmp.Diff(c.want, ids); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}
