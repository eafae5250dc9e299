package chat

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

// Cursors remember when a channel had its last report.
type Cursors interface {
	// Cursor returns what was set last, "" before that.
	Cursor(ctx context.Context, name string) (string, error)
	SetCursor(ctx context.Context, name, at string) error
}

// lately is how far back a report says what changed where nobody knows of one
// before, and oldest how far at all.
const (
	lately = 24 * time.Hour
	oldest = 8 * 24 * time.Hour
)

// Report posts the scheduled report of a channel; with a tag, of the droplets
// that carry it. It is posted at least once for each due time, and not again
// where it is known that one was posted since: by a process that died before
// it could say so, or by another schedule of the same channel and tag. A zero
// due asks for it in any case.
func (c *Chat) Report(ctx context.Context, channel, tag string, due time.Time) error {
	if channel == "" {
		channel = c.o.Channel
	}
	last := "report/" + channel + "/" + tag
	began := time.Now()
	since := c.lastReport(ctx, last, began)
	if !due.IsZero() && !since.Before(due.Truncate(time.Second)) {
		c.o.Log.Info("the report was posted already", "channel", channel, "tag", tag, "due", due, "posted", since)
		return nil
	}
	m, err := c.digest(ctx, tag, since)
	if err != nil {
		return err
	}
	if _, err = c.o.Slack.Post(ctx, channel, message(m)); err != nil || c.o.Cursors == nil {
		return err
	}
	// It stands there, also when the service is being stopped.
	if err := c.o.Cursors.SetCursor(context.WithoutCancel(ctx), last, began.UTC().Format(time.RFC3339)); err != nil {
		c.o.Log.Warn("remember when the report was posted", "channel", channel, "err", err) // the next one tells of the last day
	}
	return nil
}

// lastReport is when a channel had its last report; zero where that is not
// known, or long ago.
func (c *Chat) lastReport(ctx context.Context, name string, now time.Time) time.Time {
	if c.o.Cursors == nil {
		return time.Time{}
	}
	said, err := c.o.Cursors.Cursor(ctx, name)
	if err != nil {
		c.o.Log.Warn("ask when the last report was posted", "err", err)
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, said)
	if err != nil || now.Sub(at) > c.o.Scale.Real(oldest) || at.After(now) {
		return time.Time{}
	}
	return at
}

// answerReport makes a report to answer with: a response address cannot show
// our pictures.
func answerReport(m report.Message) slackapp.Message {
	out := slackapp.Message{Text: m.Text}
	var layouts [][]slack.Block
	for _, l := range append([][]slack.Block{m.Blocks}, m.Rungs...) {
		l = slices.DeleteFunc(slices.Clone(l), func(b slack.Block) bool { return b.BlockType() == slack.MBTImage })
		same := func(o []slack.Block) bool { return slices.Equal(o, l) }
		if len(l) > 0 && !slices.ContainsFunc(layouts, same) {
			layouts = append(layouts, l)
		}
	}
	if len(layouts) > 0 {
		out.Blocks, out.Rungs = layouts[0], layouts[1:]
	}
	return out
}

// digest gathers a report. A zero since tells of the last day.
func (c *Chat) digest(ctx context.Context, tag string, since time.Time) (report.Message, error) {
	live, err := c.o.Findings.Findings(ctx, finding.Filter{Live: true})
	if err != nil {
		return report.Message{}, err
	}
	d := report.Digest{At: time.Now(), Since: since, Trouble: c.o.Trouble(), Kept: c.kept(ctx), Pictures: map[string]string{}}
	s, scanned := c.o.Fleet.Latest()
	d.Judged, d.Scanned = s.At, scanned
	if !scanned {
		d.Trouble = append(d.Trouble, saysNotScanned)
	}
	if c.o.Head != nil {
		if d.Audit, err = c.o.Head(ctx); err != nil {
			return report.Message{}, err
		}
	}
	part := partOf(s, tag)
	if tag != "" && tag != everything && scanned && len(part.within) == 0 {
		return report.Message{}, refusal{fmt.Sprintf(saysNoTag, report.Code(tag))}
	}
	d.Workers, d.All = part.workers, tag == everything
	for _, f := range live {
		if !part.holds(f) || f.OnRequest() {
			continue
		}
		if f.Heard.IsZero() {
			d.Unseen += notSeen(f)
		}
		d.Findings, d.Pictures[f.ID] = append(d.Findings, f), f.Picture
	}
	d.Changes, err = c.changes(ctx, d.At, since, part)
	sort.SliceStable(d.Findings, func(i, j int) bool {
		return d.Findings[i].State != finding.Muted && d.Findings[j].State == finding.Muted
	})
	return report.Report(d), err
}

// notSeen counts what a finding says is not seen: a source takes its workers along.
func notSeen(f finding.Finding) int {
	switch {
	case f.Subject.Kind == finding.KindSilent:
		return 1
	case f.Outage != nil:
		return f.Outage.Workers
	case f.Missing != nil:
		return len(f.Missing.Workers)
	}
	return 0
}

// part is what a report is about: droplets that carry a tag, or all.
type part struct {
	whole         bool
	known, within map[string]bool // droplet ids
	workers       []report.WorkerLine
}

func partOf(s watch.Summary, tag string) part {
	p := part{whole: tag == "" || tag == everything, known: map[string]bool{}, within: map[string]bool{}}
	for _, v := range s.Views {
		p.known[v.Droplet.ID] = true
		if !p.whole && tag != v.Droplet.Name && tag != v.Droplet.ID && !slices.Contains(v.Droplet.Tags, tag) {
			continue
		}
		p.within[v.Droplet.ID] = true
		for i, w := range v.Workers {
			p.workers = append(p.workers, lineOf(v, w, v.Verdicts[i]))
		}
	}
	return p
}

// holds reports whether a finding belongs to the part. A droplet that could
// not be looked at carries nobody knows which tags: its findings are told
// rather than left out.
func (p part) holds(f finding.Finding) bool {
	return p.whole || !p.known[f.Subject.DropletID] || p.within[f.Subject.DropletID]
}

// changes says what was found and what was settled since the last report, or
// in the last day, newest first.
func (c *Chat) changes(ctx context.Context, at, since time.Time, p part) (lines []string, err error) {
	if since.IsZero() {
		since = at.Add(-c.o.Scale.Real(lately))
	}
	found, err := c.o.Findings.Findings(ctx, finding.Filter{Since: since})
	if err != nil {
		return nil, err
	}
	more := 0
	for _, f := range newestFirst(found) {
		var line string
		switch {
		case !p.holds(f) || f.OnRequest():
			continue
		case f.State.Final() && f.Closed.After(since):
			line = f.Subject.Title() + ": " + string(f.State)
			if f.Why != "" {
				line += ": " + f.Why
			}
		case f.Opened.After(since):
			line = fmt.Sprintf(saysNewFinding, f.Subject.Title())
		default:
			continue
		}
		if len(lines) == maxChanges {
			more++
			continue
		}
		lines = append(lines, line)
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf(saysMoreInHistory, more))
	}
	return lines, nil
}

const maxChanges = 5

func newestFirst(found []finding.Finding) []finding.Finding {
	sort.SliceStable(found, func(i, j int) bool { return found[i].Updated.After(found[j].Updated) })
	return found
}

func lineOf(v watch.View, w detector.Worker, verdict detector.Verdict) report.WorkerLine {
	return report.WorkerLine{Droplet: v.Droplet.Name, DropletID: v.Droplet.ID, Worker: w.Name, Verdict: verdict}
}
