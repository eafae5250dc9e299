package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
)

// How much of each the App Home shows. With headings, troubles, counts of what is
// left out and the foot that is 100 blocks, as many as Slack takes, when all is full.
const (
	homeQuestions = 8  // three blocks each
	homeRuns      = 5  // three blocks each
	homeRolling   = 3  // rolling restarts, asked for and under way; two blocks each
	homeFindings  = 10 // a block each
	homeFleet     = 13 // blocks of some thirty workers each
	homeShelf     = 10 // lines
	homeSources   = 20 // lines
)

// scene is what an App Home shows one person.
type scene struct {
	at        time.Time
	channel   string
	questions []standing // runs that wait for an approval, those of this person first
	runs      []standing // approved and not ended
	asked     []rolling  // rolling restarts that wait for an approval, those of this person first
	rolling   []rolling  // those under way
	findings  []finding.Finding
	workers   int
	leaking   int
	droplets  int
	scanned   time.Time // zero: not yet
	fleet     []slack.Block
	shelf     []remedy.Kept
	listed    bool // the shelf has been listed
	trouble   []string
	sources   []string // those that are pulled
}

// standing is a run with what it is about.
type standing struct {
	f    finding.Finding
	v    remedy.View
	mine bool // this person may decide
}

// scene reads everything anew for one person.
func (c *Chat) scene(ctx context.Context, who slackapp.Who) (*scene, error) {
	s := &scene{at: time.Now(), channel: c.o.Channel, trouble: c.o.Trouble(), sources: c.o.Sources()}
	var err error
	if s.findings, err = c.o.Findings.Findings(ctx, finding.Filter{Live: true}); err != nil {
		return nil, err
	}
	views, err := c.o.Remedy.Views(ctx, workflow.Filter{Live: true})
	if err != nil {
		return nil, err
	}
	for _, v := range views {
		st, err := c.standing(ctx, who, v)
		if err != nil {
			return nil, err
		}
		if v.Settled == nil {
			s.questions = append(s.questions, st)
		} else {
			s.runs = append(s.runs, st)
		}
	}
	if err := c.rollingOf(ctx, s, who); err != nil {
		return nil, err
	}
	slices.SortStableFunc(s.questions, func(a, b standing) int { return one(b.mine) - one(a.mine) })
	c.fleetOf(s)
	c.homes.mu.Lock()
	defer c.homes.mu.Unlock()
	s.shelf, s.listed = c.homes.shelf, !c.homes.shelfAt.IsZero()
	return s, nil
}

// one counts a yes.
func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// standing finds what a run is about, and whether this person may decide it.
func (c *Chat) standing(ctx context.Context, who slackapp.Who, v remedy.View) (standing, error) {
	st := standing{v: v}
	var err error
	st.f, err = c.o.Findings.Finding(ctx, v.Finding)
	if err != nil && !errors.Is(err, finding.ErrNotFound) {
		return st, err
	}
	kind := remedy.Cancel
	if v.Settled == nil {
		kind = remedy.Approve
	}
	err = c.o.Standing.May(ctx, v.Run, remedy.Decision{Kind: kind, By: who.User, Team: who.Team})
	var no *remedy.Refusal
	switch {
	case errors.As(err, &no):
	case err != nil:
		return st, err
	default:
		st.mine = true
	}
	return st, nil
}

// fleetOf lists the workers as of the newest scan; the list is made once for
// each.
func (c *Chat) fleetOf(s *scene) {
	sum, ok := c.o.Fleet.Latest()
	if !ok {
		return
	}
	s.scanned, s.workers, s.droplets = sum.At, sum.Workers(), len(sum.Views)
	for _, v := range sum.Views {
		for _, verdict := range v.Verdicts {
			if verdict.Kind.Leaks() {
				s.leaking++
			}
		}
	}
	c.homes.mu.Lock()
	defer c.homes.mu.Unlock()
	if !c.homes.fleetAt.Equal(sum.At) {
		c.homes.fleet, c.homes.fleetAt = report.Fleet(trends(sum), sum.At, homeFleet), sum.At
	}
	s.fleet = c.homes.fleet
}

// trends are all workers of a scan with their trends.
func trends(sum watch.Summary) (out []report.WorkerLine) {
	for _, v := range sum.Views {
		for i, w := range v.Workers {
			line := lineOf(v, w, v.Verdicts[i])
			metric, _, _ := strings.Cut(line.Verdict.Metric, "+")
			if metric == "value" {
				metric = "rss"
			}
			points, _ := detector.Footprint(w, detector.Options{Metric: metric})
			line.Trend = report.Trend(points)
			out = append(out, line)
		}
	}
	return out
}

// listShelf asks which snapshots stand, when that was not asked lately. What
// was known before stays where the answer fails to come.
func (c *Chat) listShelf(ctx context.Context) {
	c.homes.mu.Lock()
	fresh := !c.homes.shelfAt.IsZero() && time.Since(c.homes.shelfAt) < c.o.Scale.Real(shelfFor)
	c.homes.mu.Unlock()
	if fresh {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	kept, err := c.o.Standing.Shelf(ctx)
	if err != nil {
		c.o.Log.Warn("list the snapshots for the App Home", "err", err)
		return
	}
	c.homes.mu.Lock()
	defer c.homes.mu.Unlock()
	c.homes.shelf, c.homes.shelfAt = kept, time.Now()
}

// blocks is the page.
func (s *scene) blocks() []slack.Block {
	out := []slack.Block{report.Header(s.headline())}
	for _, t := range s.trouble[:min(len(s.trouble), 3)] {
		out = append(out, report.Context(":warning: "+report.Escape(t)))
	}
	out = append(out, s.waiting()...)
	out = append(out, s.inFlight()...)
	out = append(out, s.open()...)
	out = append(out, s.all()...)
	out = append(out, s.kept()...)
	if len(s.sources) > 0 {
		var lines []string
		for _, l := range s.sources[:min(len(s.sources), homeSources)] {
			lines = append(lines, report.Escape(l)) // one by one: it makes one line of what it is given
		}
		out = append(out, report.Section(saysHomeSources), report.Context(strings.Join(lines, "\n")))
	}
	return append(out, slack.NewDividerBlock(), report.Context(fmt.Sprintf(saysHomeFoot, report.Date(s.stamp()), s.channel)))
}

// stamp is as of when the page is: it moves with what is on it, not with the
// clock, so that a page that is still true is not published again.
func (s *scene) stamp() time.Time {
	at := s.scanned
	for _, f := range s.findings {
		at = latest(at, f.Updated)
	}
	for _, st := range slices.Concat(s.questions, s.runs) {
		at = latest(at, st.v.Asked, st.v.Entered)
	}
	for _, r := range slices.Concat(s.asked, s.rolling) {
		at = latest(at, r.v.Asked)
	}
	if at.IsZero() {
		return s.at.Truncate(time.Minute)
	}
	return at
}

func latest(a time.Time, more ...time.Time) time.Time {
	for _, b := range more {
		if b.After(a) {
			a = b
		}
	}
	return a
}

func (s *scene) mine() (n int) {
	for _, q := range s.questions {
		n += one(q.mine)
	}
	for _, q := range s.asked {
		n += one(q.mine)
	}
	return n
}

func (s *scene) headline() string {
	var parts []string
	if n := s.mine(); n > 0 {
		parts = append(parts, fmt.Sprintf(saysHomeForYou, counted(n, saysApprovalWaits, saysApprovalsWait)))
	}
	switch {
	case s.scanned.IsZero():
		parts = append(parts, saysNotScanned)
	case s.leaking == 0:
		parts = append(parts, fmt.Sprintf(saysHomeNoneLeaking, counted(s.workers, "worker", "workers")))
	default:
		parts = append(parts, fmt.Sprintf(saysHomeLeaking, counted(s.workers, "worker", "workers"), s.leaking))
	}
	return sentence(strings.Join(parts, " · "))
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// waiting are the questions that stand; only who may decide gets the buttons.
func (s *scene) waiting() []slack.Block {
	if len(s.questions)+len(s.asked) == 0 {
		return nil
	}
	out := append(chapter(saysHomeWaiting), s.rollingBlocks(s.asked)...)
	for _, q := range s.questions[:min(len(s.questions), homeQuestions)] {
		text := fmt.Sprintf(saysHomeQuestion, report.Escape(q.headline(s.at)), scope(q.v), report.Date(q.v.Expires))
		if !q.mine {
			q.v.Buttons = nil
			text += saysForApprovers
		}
		out = append(append(out, report.Section(text)), pressable(q.f, q.v)...)
	}
	return append(out, more(len(s.questions)-homeQuestions, "question", "questions", fmt.Sprintf(saysInChannel, s.channel))...)
}

func (st standing) headline(at time.Time) string {
	if st.f.ID == "" {
		return st.v.Title()
	}
	return report.Headline(st.f, at)
}

// inFlight are the runs that go on.
func (s *scene) inFlight() []slack.Block {
	if len(s.runs)+len(s.rolling) == 0 {
		return nil
	}
	out := append(chapter(saysHomeRuns), s.rollingBlocks(s.rolling)...)
	for _, r := range s.runs[:min(len(s.runs), homeRuns)] {
		if !r.mine {
			r.v.Buttons = nil
		}
		text := fmt.Sprintf(saysHomeRun, report.Escape(r.v.Title()), voters(r.v), stepAt(r.v, s.at))
		out = append(append(out, report.Section(text)), pressable(r.f, r.v)...)
	}
	return append(out, more(len(s.runs)-homeRuns, "run", "runs", saysShowRuns)...)
}

// stepAt is the step that a run is at.
func stepAt(v remedy.View, at time.Time) string {
	n := len(v.Steps)
	for i, s := range v.Steps {
		if s.State == remedy.Doing || s.State == remedy.Broke {
			v.Steps = v.Steps[i : i+1]
			return steps(v, at) + fmt.Sprintf(saysStepOf, i+1, n)
		}
	}
	return stateOf(v)
}

// open are the findings, but for those that a run above is about.
func (s *scene) open() []slack.Block {
	above := map[string]bool{}
	for _, st := range slices.Concat(s.questions, s.runs) {
		above[st.v.Finding] = true
	}
	for _, r := range slices.Concat(s.asked, s.rolling) {
		for _, f := range r.members {
			above[f.ID] = true
		}
	}
	rest := slices.DeleteFunc(slices.Clone(s.findings), func(f finding.Finding) bool { return above[f.ID] || f.OnRequest() })
	if len(rest) == 0 {
		return nil
	}
	out := chapter(saysHomeFindings)
	for _, f := range rest[:min(len(rest), homeFindings)] {
		out = append(out, report.Entry(f, s.at))
	}
	return append(out, more(len(rest)-homeFindings, "finding", "findings", saysShowReport)...)
}

func (s *scene) all() []slack.Block {
	if len(s.fleet) == 0 {
		return nil
	}
	return append(chapter(fmt.Sprintf(saysHomeWorkers, counted(s.droplets, "droplet", "droplets"))), s.fleet...)
}

// kept are the snapshots that stand, and what they cost.
func (s *scene) kept() []slack.Block {
	if !s.listed || len(s.shelf) == 0 {
		return nil
	}
	var lines []string
	var size, cost float64
	for i, k := range s.shelf {
		size, cost = size+k.Snapshot.SizeGB, cost+k.MonthlyUSD
		if i < homeShelf {
			lines = append(lines, "• "+shelfLine(k))
		}
	}
	title := fmt.Sprintf(saysHomeSnapshots, counted(len(s.shelf), "snapshot", "snapshots"), size, dollars(cost))
	out := append(chapter(title), report.Section(strings.Join(lines, "\n")))
	return append(out, more(len(s.shelf)-homeShelf, "snapshot", "snapshots", saysShowSnapshots)...)
}

func shelfLine(k remedy.Kept) string {
	line := fmt.Sprintf(saysHomeSnapshot, report.Code(k.Snapshot.Name), report.Escape(k.Plan.Droplet), k.Snapshot.SizeGB, dollars(k.MonthlyUSD))
	switch {
	case k.Doomed != nil:
		return fmt.Sprintf(saysBeingDeleted, line)
	case k.Pinned != nil:
		return fmt.Sprintf(saysKeptBy, line, report.Mention(k.Pinned.By))
	case !k.Expires.IsZero():
		return fmt.Sprintf(saysUntilDate, line, report.Date(k.Expires))
	}
	return line
}

// chapter begins a part of the page.
func chapter(title string) []slack.Block {
	return []slack.Block{slack.NewDividerBlock(), report.Section("*" + title + "*")}
}

// more counts what was left out, and says where it is.
func more(n int, one, many, where string) []slack.Block {
	if n <= 0 {
		return nil
	}
	return []slack.Block{report.Context(fmt.Sprintf(saysHomeMore, counted(n, fmt.Sprintf(saysMoreNoun, one), fmt.Sprintf(saysMoreNoun, many)), where))}
}
