package bot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/watch"
)

// Run runs the service until ctx ends, and returns when all its loops have
// stopped. Slack or DigitalOcean being away is no reason to return.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	loop := func(name string, run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("a loop ended", "loop", name, "err", err)
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	loop("slack", s.slack.Run)
	loop("recall", func(ctx context.Context) error {
		if err := s.chat.Recall(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("not every live run is shown again yet", "err", err)
		}
		return nil
	})
	loop("history", s.history.Run)
	loop("hub", s.hub.Run)
	loop("runs", s.remedy.Run)
	loop("inbox", func(ctx context.Context) error { s.chat.Run(ctx); return nil })
	loop("digitalocean", func(ctx context.Context) error { s.source.Run(ctx); return nil })
	for _, f := range s.feeds {
		loop("source "+f.Name(), func(ctx context.Context) error { f.Run(ctx); return nil })
	}
	loop("schedule", s.runSchedule)
	loop("survey", s.runSurvey)
	loop("tidy", s.runTidy)
	if len(s.d.Alerts.Endpoints) > 0 {
		loop("alerts", s.alerts.Run)
	}
	s.ready.Store(true)
	defer context.AfterFunc(ctx, func() { s.ready.Store(false) })() // draining is not ready
	wg.Wait()
	s.ready.Store(false)
	for _, x := range s.shells {
		x.droplet.Close()
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.slack.Close(drain); err != nil {
		s.log.Warn("the last updates did not reach Slack", "err", err)
	}
	return errors.Join(errs...)
}

// runTidy deletes dropleak's own snapshots that are too many or too old.
func (s *Service) runTidy(ctx context.Context) error {
	tick := time.NewTicker(max(s.d.Scale.Real(time.Hour), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := s.remedy.Tidy(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("tidying snapshots", "err", err)
		}
	}
}

// runSchedule scans and reports when it is time.
func (s *Service) runSchedule(ctx context.Context) error {
	jobs := []schedule.Job{{Name: "scan", Spec: s.d.Scan, Do: func(ctx context.Context, _ time.Time) error { return s.Scan(ctx) }}}
	for i, r := range s.d.Reports {
		jobs = append(jobs, schedule.Job{Name: fmt.Sprintf("report/%d", i), Spec: r.Spec, Do: func(ctx context.Context, due time.Time) error {
			return s.report(ctx, r, due)
		}})
	}
	runner := schedule.Runner{Store: s.d.Store, Log: s.log, Scale: s.d.Scale}
	runner.Run(ctx, jobs...)
	return nil
}

// Scan judges the fleet once.
func (s *Service) Scan(ctx context.Context) error {
	sum, err := s.watch.Scan(ctx, time.Now())
	s.keep(sum, err)
	return errors.Join(err, s.chat.EndRequests(ctx))
}

// keep remembers what was seen. A fleet that is empty was seen; one of which
// no droplet could be looked at was not.
func (s *Service) keep(sum watch.Summary, err error) {
	if err == nil || len(sum.Views) > 0 {
		s.latest.Store(&sum)
		s.scanned.Add(int64(sum.Workers()))
	}
}

// runSurvey keeps what this replica answers from fresh while another one does
// the scanning: each scan that is due falls to one of them.
func (s *Service) runSurvey(ctx context.Context) error {
	tick := time.NewTicker(max(s.d.Scale.Real(time.Minute), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.survey(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("looking at the fleet beside another replica", "err", err)
		}
	}
}

// scanEvery is how far apart scans are from now on, in real time; 0: none is due.
func (s *Service) scanEvery(now time.Time) time.Duration {
	next := s.d.Scan.Next(now)
	if next.IsZero() {
		return 0
	}
	return s.d.Scale.Real(s.d.Scan.Next(next).Sub(next))
}

// survey looks at the fleet if what was last seen is older than two scans.
func (s *Service) survey(ctx context.Context, now time.Time) error {
	seen := s.started
	if sum := s.latest.Load(); sum != nil {
		seen = sum.At
	}
	every := s.scanEvery(now)
	if every == 0 || now.Sub(seen) <= 2*every {
		return nil
	}
	sum, err := s.watch.Survey(ctx, now)
	s.keep(sum, err)
	return err
}
