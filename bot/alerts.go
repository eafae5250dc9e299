package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dropleak/dropleak/bot/alert"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/workflow"
)

// Alerts say whom to call beside Slack, and when.
type Alerts struct {
	Below     time.Duration // call for a finding with less time left; 0: never
	LostAfter time.Duration // call when Slack or a droplet was not heard for so long; 0: never
	Endpoints []alert.Endpoint
}

// alertEvery is how often it is seen what to call for.
const alertEvery = 5 * time.Second

func (s *Service) assembleAlerts() {
	s.alerts = alert.New(alert.Options{Store: s.d.Store, Endpoints: s.d.Alerts.Endpoints, Wanted: s.wanted,
		Every: max(s.d.Scale.Real(alertEvery), 200*time.Millisecond), Log: s.log})
}

// wanted is everything that is worth a call now, from what the store holds.
func (s *Service) wanted(ctx context.Context) ([]alert.Alert, error) {
	live, err := s.d.Store.Findings(ctx, finding.Filter{Live: true})
	if err != nil {
		return nil, err
	}
	dues, err := s.d.Store.Dues(ctx)
	if err != nil {
		return nil, err
	}
	rings := map[string]bool{}
	for _, d := range dues {
		rings[d.Alert.Key] = rings[d.Alert.Key] || d.Firing
	}
	runs, err := s.endedRuns(ctx)
	if err != nil {
		return nil, err
	}
	out, err := s.failedRequests(ctx, runs)
	if err != nil {
		return nil, err
	}
	for _, f := range live {
		if f.State == finding.Muted {
			continue // somebody has said: not now
		}
		run, ran := runs[f.Subject.DropletID+"/"+f.Subject.Worker]
		out = append(out, s.runningOut(f, rings, ran && cured(run) && run.Ended.After(f.LastSeen))...)
		if ran && run.Finding == f.ID && f.Subject.Kind != finding.KindRequest {
			out = append(out, failedRun(f, run, s.d.Zone)...)
		}
		out = append(out, s.lost(f, rings)...)
	}
	lost, err := s.lostSlack(ctx)
	if err != nil {
		return nil, err
	}
	overdue, err := s.overdue(ctx)
	return append(append(once(out), lost...), overdue...), err
}

// once leaves one alert of each key: that of the finding with the least time.
func once(all []alert.Alert) (out []alert.Alert) {
	slices.SortStableFunc(all, func(a, b alert.Alert) int { return cmp.Compare(rankOf(a.Severity), rankOf(b.Severity)) })
	more := map[string]int{}
	for _, a := range all {
		if more[a.Key]++; more[a.Key] == 1 {
			out = append(out, a)
		}
	}
	for i, a := range out {
		if n := more[a.Key]; n > 1 {
			out[i].Title += fmt.Sprintf(" (one incident, %d workers)", n)
		}
	}
	return out
}

func rankOf(s alert.Severity) int {
	return slices.Index([]alert.Severity{alert.Critical, alert.Error, alert.Warning}, s)
}

// about is an alert about a finding. Findings of one incident are one alert.
func about(f finding.Finding, kind alert.Kind, severity alert.Severity, title string) alert.Alert {
	return alert.Alert{Key: "finding/" + cmp.Or(f.Incident, f.ID), Kind: kind, Severity: severity, Title: title, Since: f.Opened,
		Droplet: f.Subject.DropletName, DropletID: f.Subject.DropletID, Worker: f.Subject.Worker, Source: f.Subject.Source, Finding: f.ID}
}

// runningOut calls for a finding with too little time left, until it is closed
// or a restart has cured it: a forecast that wavers does not call twice.
func (s *Service) runningOut(f finding.Finding, rings map[string]bool, cured bool) []alert.Alert {
	e := f.Verdict.Exhaustion
	if e == nil && f.Droplet != nil && f.Subject.Kind == finding.KindUnexplained {
		e = f.Droplet.Exhaustion
	}
	if s.d.Alerts.Below <= 0 || e == nil || e.Expected.IsZero() || cured {
		return nil
	}
	left := s.d.Scale.Scaled(time.Until(s.d.Scale.Shrink(e.Expected, f.LastSeen)))
	a := about(f, alert.RunningOut, alert.Error, report.Headline(f, f.LastSeen))
	if left < s.d.Alerts.Below/4 || f.OOMKills > 0 {
		a.Severity = alert.Critical
	}
	if left >= s.d.Alerts.Below && !rings[a.Key] {
		return nil
	}
	a.Detail = fmt.Sprintf("About %s left until %s (%s).", report.Duration(max(left, 0)), report.Bytes(e.Limit.Bytes), e.Limit.Source)
	return []alert.Alert{a}
}

// endedRuns are the newest runs that ended, by worker.
func (s *Service) endedRuns(ctx context.Context) (map[string]remedy.View, error) {
	views, err := s.remedy.Views(ctx, workflow.Filter{Ended: true, Since: time.Now().Add(-7 * 24 * time.Hour), Limit: 500})
	if err != nil {
		return nil, err
	}
	out := map[string]remedy.View{}
	for _, v := range views { // newest first
		key := fmt.Sprintf("%d/%s", v.Plan.DropletID, v.Plan.Worker)
		if _, known := out[key]; !known {
			out[key] = v
		}
	}
	return out, nil
}

func cured(v remedy.View) bool {
	return v.Outcome == remedy.FreedWorking || v.Outcome == remedy.FreedNotSeenWorking
}

// requestCalls is how long a run that a person asked for calls after it failed:
// no finding is left that could be closed.
const requestCalls = 24 * time.Hour

// failedRequests calls for runs about requests as failedRun does, until a later
// run of the worker, or for a day.
func (s *Service) failedRequests(ctx context.Context, runs map[string]remedy.View) (out []alert.Alert, err error) {
	for _, v := range runs {
		if time.Since(v.Ended) > s.d.Scale.Real(requestCalls) {
			continue
		}
		f, err := s.d.Store.Finding(ctx, v.Finding)
		if errors.Is(err, finding.ErrNotFound) || err == nil && f.Subject.Kind != finding.KindRequest {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, failedRun(f, v, s.d.Zone)...)
	}
	return out, nil
}

// failedRun calls for a run that left something for a person to do, until the
// finding is closed or a later run went well.
func failedRun(f finding.Finding, v remedy.View, zone *time.Location) []alert.Alert {
	severity := alert.Error
	switch v.Outcome {
	case remedy.NotRunning, remedy.Unclear:
		severity = alert.Critical
	case remedy.CameBackBad, remedy.NotFreed, remedy.Failed:
	default:
		return nil
	}
	a := about(f, alert.FailedRun, severity, v.Title()+": "+v.Outcome.Words())
	a.Key, a.Since, a.Run, a.Detail = "finding/"+f.ID+"/run", v.Ended, v.Run, report.Told(v.Why, zone)
	if v.State != "" {
		a.Detail += " " + report.Told(v.State, zone)
	}
	return []alert.Alert{a}
}

// lost calls for a source, and for a droplet whose agent, or everything else
// that told of it, that is silent for too long, until it is heard of steadily:
// one that comes and goes does not call each time.
func (s *Service) lost(f finding.Finding, rings map[string]bool) []alert.Alert {
	kind := alert.LostDroplet
	if f.Subject.Kind == finding.KindSource {
		kind = alert.LostSource
	}
	if f.Subject.Worker != "" || !f.Subject.Kind.OfSilence() || s.d.Alerts.LostAfter <= 0 || f.Outage != nil && f.Outage.Removed { // somebody did that, and is told in Slack
		return nil
	}
	a := about(f, kind, alert.Error, report.Headline(f, f.LastSeen))
	a.Detail = report.Summary(f, s.d.Zone)
	since := f.Opened
	if !f.Began.IsZero() {
		since = f.Began // of the silence: before it was found, or after it was heard of in between
	}
	if !rings[a.Key] && (!f.Heard.IsZero() || s.d.Scale.Scaled(time.Since(since)) < s.d.Alerts.LostAfter) {
		return nil
	}
	return []alert.Alert{a}
}

// contactCursor is where it is kept when any replica last heard Slack: one
// that is cut off alone is no reason to call.
const contactCursor = "slack/contact"

// lostSlack calls when no replica has heard Slack for too long. Where nothing
// need be said for a while, Slack is asked.
func (s *Service) lostSlack(ctx context.Context) ([]alert.Alert, error) {
	after := s.d.Scale.Real(s.d.Alerts.LostAfter)
	if after <= 0 {
		return nil, nil
	}
	text, err := s.d.Store.Cursor(ctx, contactCursor)
	if err != nil {
		return nil, err
	}
	known, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		known = s.started // nothing was written down yet
	}
	heard := s.slack.LastContact()
	if time.Since(heard) > after/2 && time.Since(known) > after/2 {
		ask, cancel := context.WithTimeout(ctx, min(after/4, 5*time.Second))
		defer cancel()
		if _, err := s.slack.AuthTest(ask); err == nil {
			heard = s.slack.LastContact()
		}
	}
	if heard.Sub(known) > after/8 {
		known = heard
		if err := s.d.Store.SetCursor(ctx, contactCursor, heard.UTC().Format(time.RFC3339Nano)); err != nil {
			return nil, err
		}
	}
	if time.Since(known) < after || time.Since(s.started) < after {
		return nil, nil
	}
	return []alert.Alert{{Key: "slack", Kind: alert.LostSlack, Severity: alert.Error, Since: known,
		Title:  "dropleak has not heard Slack since " + report.Moment(known, s.d.Zone),
		Detail: "Findings are not shown and nobody can approve there. dropleak findings and dropleak approve work without Slack."}}, nil
}
