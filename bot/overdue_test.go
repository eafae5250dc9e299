package bot

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/alert"
)

// away is a store that is away at times.
type away struct {
	Store
	write func() // called before a cursor is written; nil: nothing
	fails bool   // nothing can be written down
}

func (a *away) SetCursor(ctx context.Context, name, at string) error {
	if a.write != nil {
		a.write()
	}
	if a.fails {
		return errors.New("database is away")
	}
	return a.Store.SetCursor(ctx, name, at)
}

// A scheduled report is tried again while Slack is away. After an hour the
// metrics and the alerts say that it is overdue, until it is posted.
func TestReportIsTriedAgain(t *testing.T) {
	wire := &line{cut: 2}
	s, st := assembled(t, func(d *Deps) {
		d.Slack.HTTPClient, d.Scale, d.Reports = &http.Client{Transport: wire}, 1000, []Report{{Tag: "celery"}, {Tag: "celery"}}
	})
	r := s.d.Reports[0]
	if err := s.report(t.Context(), r, time.Time{}); err != nil || wire.count("chat.postMessage") != 3 {
		t.Errorf("posted after %d tries, %v", wire.count("chat.postMessage"), err)
	}
	if n := overdueReports(t, s); n != "0" {
		t.Errorf("%s reports overdue after three tries", n)
	}
	wire.cut, s.d.Scale = -1, 36000 // an hour are 100 ms
	if err := s.report(t.Context(), r, time.Time{}); err == nil {
		t.Error("no error from a report that was never posted")
	}
	wanted, err := s.wanted(t.Context())
	if err != nil || len(wanted) != 1 || wanted[0].Kind != alert.OverdueReport || wanted[0].Key != "report//celery" ||
		!strings.HasPrefix(wanted[0].Title, "the report about celery for the usual channel could not be posted since ") || overdueReports(t, s) != "1" {
		t.Errorf("wanted %+v, %v, and %s reports overdue", wanted, err, overdueReports(t, s))
	}
	wire.cut = 0
	replica, _ := assembled(t, func(d *Deps) { d.Store, d.Slack, d.Reports = st, s.d.Slack, s.d.Reports })
	if err := replica.report(t.Context(), r, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if wanted, err := s.wanted(t.Context()); err != nil || len(wanted) != 0 || overdueReports(t, s) != "0" {
		t.Errorf("after it was posted: wanted %+v, %v", wanted, err)
	}
}

// overdueReports is what the metrics say.
func overdueReports(t *testing.T, s *Service) string {
	t.Helper()
	return metric(t, s, "dropleak_reports_overdue")
}

// late is a service with a report that is overdue, and its store.
func late(t *testing.T) (*Service, *away, Report) {
	t.Helper()
	var st *away
	s, _ := assembled(t, func(d *Deps) {
		st = &away{Store: d.Store}
		d.Store, d.Reports = st, []Report{{Channel: "C0DEPLOYS"}}
	})
	r := s.d.Reports[0]
	if err := s.setOverdue(t.Context(), r, time.Now().Add(-2*time.Hour).Format(time.RFC3339Nano)); err != nil {
		t.Fatal(err)
	}
	wanted, err := s.wanted(t.Context())
	if err != nil || len(wanted) != 1 || !strings.HasPrefix(wanted[0].Title, "the report for C0DEPLOYS could not be posted since ") {
		t.Fatalf("wanted %+v, %v", wanted, err)
	}
	return s, st, r
}

// What could not be written down when a report was posted at last is written
// down at the next look: the alert ends with the post.
func TestOverdueEndsThoughTheStoreWasAway(t *testing.T) {
	s, st, r := late(t)
	st.fails = true
	if err := s.report(t.Context(), r, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if wanted, err := s.wanted(t.Context()); err == nil {
		t.Errorf("wanted %+v while nobody could tell", wanted)
	}
	st.fails = false
	if wanted, err := s.wanted(t.Context()); err != nil || len(wanted) != 0 || overdueReports(t, s) != "0" {
		t.Errorf("wanted %+v, %v", wanted, err)
	}
	if err := s.setOverdue(t.Context(), r, time.Now().Format(time.RFC3339Nano)); err != nil {
		t.Fatal(err)
	}
	if n := overdueReports(t, s); n != "1" {
		t.Errorf("%s reports overdue when the next one is", n)
	}
}

// A service that is stopped right after it posted an overdue report leaves no
// alert behind, and the report is not posted again by the next one.
func TestStoppedRightAfterThePost(t *testing.T) {
	s, st, r := late(t)
	ctx, stop := context.WithCancel(t.Context())
	st.write = stop
	due := time.Now()
	if err := s.report(ctx, r, due); err != nil || ctx.Err() == nil {
		t.Fatalf("%v, stopped: %v", err, ctx.Err())
	}
	if since, err := st.Cursor(t.Context(), r.overdueCursor()); err != nil || since != "" {
		t.Errorf("overdue since %q, %v", since, err)
	}
	if at, err := st.Cursor(t.Context(), "report/C0DEPLOYS/"); err != nil || at == "" {
		t.Errorf("posted at %q, %v", at, err)
	}
}
