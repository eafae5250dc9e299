package bot

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/dropleak/dropleak/bot/alert"
	"github.com/dropleak/dropleak/bot/report"
)

// A scheduled report that Slack does not take is due once a day or so, and
// nobody notices one that is missing. It is tried again for reportFresh: what
// it tells is of the moment at which it is posted. After reportOverdue that is
// said in the log, in the metrics and to whom the alerts go.
const (
	reportOverdue = time.Hour
	reportFresh   = 12 * time.Hour
)

// report posts a scheduled report, again and again while Slack is away.
func (s *Service) report(ctx context.Context, r Report, due time.Time) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = max(s.d.Scale.Real(10*time.Second), 50*time.Millisecond), max(s.d.Scale.Real(5*time.Minute), time.Second)
	began, loud := time.Now(), false
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, s.chat.Report(ctx, r.Channel, r.Tag, due) },
		backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(s.d.Scale.Real(reportFresh)),
		backoff.WithNotify(func(err error, d time.Duration) {
			if loud = loud || time.Since(began) >= s.d.Scale.Real(reportOverdue); !loud {
				s.log.Warn("the scheduled report was not posted", "channel", r.Channel, "retry_in", d, "err", err)
				return
			}
			s.log.Error("the scheduled report is overdue", "channel", r.Channel, "tag", r.Tag, "since", began, "retry_in", d, "err", err)
			s.posted.Delete(r.overdueCursor())
			_ = s.setOverdue(ctx, r, began.UTC().Format(time.RFC3339Nano)) // kept at the next try
		}))
	if err == nil {
		s.notOverdue(ctx, r)
	}
	return err
}

// notOverdue keeps that a report stands in Slack, also when the service is
// being stopped; where the store is away, the next look at the alerts does.
func (s *Service) notOverdue(ctx context.Context, r Report) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.setOverdue(ctx, r, ""); err != nil {
		s.posted.Store(r.overdueCursor(), true)
	}
}

// overdueCursor is where it is kept, for all replicas, since when a report
// cannot be posted.
func (r Report) overdueCursor() string { return "overdue/" + r.Channel + "/" + r.Tag }

// setOverdue keeps when a report became due that is not posted; "" where it is.
func (s *Service) setOverdue(ctx context.Context, r Report, since string) error {
	was, err := s.d.Store.Cursor(ctx, r.overdueCursor())
	if err == nil && (was == "") != (since == "") {
		err = s.d.Store.SetCursor(ctx, r.overdueCursor(), since)
	}
	if err != nil {
		s.log.Warn("keep whether a report is overdue", "channel", r.Channel, "tag", r.Tag, "err", err)
	}
	return err
}

// overdue are alerts about the reports that Slack did not take for long.
func (s *Service) overdue(ctx context.Context) (out []alert.Alert, err error) {
	seen := map[string]bool{}
	for _, r := range s.d.Reports {
		if _, late := s.posted.Load(r.overdueCursor()); late {
			if err := s.setOverdue(ctx, r, ""); err != nil {
				return nil, err
			}
			s.posted.Delete(r.overdueCursor())
		}
		text, err := s.d.Store.Cursor(ctx, r.overdueCursor())
		if err != nil {
			return nil, err
		}
		since, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || seen[r.overdueCursor()] {
			continue // posted, or never due
		}
		seen[r.overdueCursor()] = true
		out = append(out, alert.Alert{Key: "report/" + r.Channel + "/" + r.Tag, Kind: alert.OverdueReport, Severity: alert.Error, Since: since,
			Title:  fmt.Sprintf("%s could not be posted since %s", r.title(), report.Moment(since, s.d.Zone)),
			Detail: "The service's log has Slack's reason. dropleak findings shows what would stand in it."})
	}
	return out, nil
}

// title names a report by what it is about and where it goes.
func (r Report) title() string {
	what, where := "the report", r.Channel
	if r.Tag != "" {
		what += " about " + r.Tag
	}
	if where == "" {
		where = "the usual channel"
	}
	return what + " for " + where
}
