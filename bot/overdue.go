package bot

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/dropleak/dropleak/bot/alert"
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
			s.setOverdue(ctx, r, began.UTC().Format(time.RFC3339Nano))
		}))
	if err == nil {
		s.setOverdue(ctx, r, "")
	}
	return err
}

// overdueCursor is where it is kept, for all replicas, since when a report
// cannot be posted.
func (r Report) overdueCursor() string { return "overdue/" + r.Channel + "/" + r.Tag }

// setOverdue keeps when a report became due that is not posted; "" where it is.
func (s *Service) setOverdue(ctx context.Context, r Report, since string) {
	was, err := s.d.Store.Cursor(ctx, r.overdueCursor())
	if err == nil && (was == "") != (since == "") {
		err = s.d.Store.SetCursor(ctx, r.overdueCursor(), since)
	}
	if err != nil {
		s.log.Warn("keep whether a report is overdue", "channel", r.Channel, "err", err)
	}
}

// overdue are alerts about the reports that Slack did not take for long.
func (s *Service) overdue(ctx context.Context) (out []alert.Alert, err error) {
	seen := map[string]bool{}
	for _, r := range s.d.Reports {
		text, err := s.d.Store.Cursor(ctx, r.overdueCursor())
		if err != nil {
			return nil, err
		}
		since, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || seen[r.overdueCursor()] {
			continue // posted, or never due
		}
		seen[r.overdueCursor()] = true
		where := r.Channel
		if where == "" {
			where = "the usual channel"
		}
		out = append(out, alert.Alert{Key: "report/" + r.Channel + "/" + r.Tag, Kind: alert.OverdueReport, Severity: alert.Error, Since: since,
			Title:  fmt.Sprintf("the report for %s could not be posted since %s", where, since.UTC().Format("2 Jan 15:04 UTC")),
			Detail: "The service's log has Slack's reason. dropleak findings shows what would stand in it."})
	}
	return out, nil
}
