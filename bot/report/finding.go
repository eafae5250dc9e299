package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
)

// Look is what a finding's message shows besides the finding itself.
type Look struct {
	At      time.Time
	Zone    *time.Location // of what Slack does not show in the reader's own; nil: UTC
	First   string         // what stands above all else, in mrkdwn: how a run ended, what its buttons leave out; "" for nothing
	Picture string         // id of the uploaded chart; "" for none
	Run     []slack.Block  // the run about it, put below
	Row     slack.Block    // its buttons, put below the first section; nil for none
	Below   slack.Block    // those that need not be seen at once, below the facts; nil for none
	Ask     string         // the ask in the notification: "Approve a restart?"
	NoRun   string         // why no restart can be offered, when that is so
	Story   string         // what became of the subject, after its name, where that is newer than the forecast
	Redrawn bool           // the chart is of after the story
	Before  string         // with Story: what it held and how it grew before that; the verdict may be about what came after
}

// Finding is the one message of a finding, in every state of its life.
func Finding(f finding.Finding, l Look) Message {
	headline, text := Headline(f, l.At), Notice(f, l.At, l.Ask)
	if news := cmp.Or(l.Story, farewell(f)); news != "" {
		headline, text = f.Subject.Title()+" "+news, brief(f)+" "+news
	}
	blocks := []slack.Block{Header(headline)}
	if l.First != "" {
		blocks = append(blocks, Section(l.First))
	}
	if line := stateLine(f); line != "" {
		blocks = append(blocks, Context(line))
	}
	if l.Story == "" {
		blocks = append(blocks, what(f)...)
	} else if l.Before != "" {
		blocks = append(blocks, Context(fmt.Sprintf(saysHeldBefore, l.Before)))
	}
	row, below := l.Row, l.Below
	if presses := l.buttons(f); len(presses) > 0 {
		row, below = Row(nil, presses...)
	}
	if below != nil {
		blocks = append(blocks, below)
	}
	blocks = append(blocks, l.withPicture(f)...)
	if l.NoRun != "" {
		blocks = append(blocks, Context(":information_source: "+Said(l.NoRun)))
	}
	return laddered(text, withRow(blocks, row))
}

// withPicture are the blocks of the run and the chart: that of before the
// news stands behind what became of the worker.
func (l Look) withPicture(f finding.Finding) []slack.Block {
	switch {
	case l.Picture == "":
		return l.Run
	case l.Story != "" && !l.Redrawn:
		return append(slices.Clone(l.Run), l.picture(f))
	}
	return append([]slack.Block{l.picture(f)}, l.Run...)
}

// withRow puts the buttons below the first section: on a phone what stands
// lower is not seen without scrolling.
func withRow(blocks []slack.Block, row slack.Block) []slack.Block {
	if row == nil {
		return blocks
	}
	i := slices.IndexFunc(blocks, func(b slack.Block) bool { return b.BlockType() == slack.MBTSection })
	if i < 0 {
		return append(blocks, row)
	}
	return slices.Insert(blocks, i+1, row)
}

// farewell is what became of a finding that ended without being cured: its
// forecast is no news any more.
func farewell(f finding.Finding) string {
	switch f.State {
	case finding.Dismissed:
		return saysWasFalseAlarm
	case finding.Gone:
		return saysNotWatched
	}
	return ""
}

// picture is the chart; one that was drawn before the newest news, or before
// the numbers above it, says so.
func (l Look) picture(f finding.Finding) slack.Block {
	b := Picture(l.Picture, Alt(f, l.At))
	if l.Story != "" && l.Redrawn {
		b.AltText = Plain(fmt.Sprintf(saysAltStory, f.Subject.Title(), l.Story), 2000) + "."
		return b
	}
	if l.Story != "" {
		b.AltText = Plain(fmt.Sprintf(saysAltBefore, f.Subject.Title()), 1900)
		if l.Before != "" {
			b.AltText += ": " + l.Before
		}
		b.AltText += "."
		b.Title = plainText(saysBeforeRestart, 200)
	} else if !f.Drawn.IsZero() && f.LastSeen.After(f.Drawn) {
		b.Title = plainText(fmt.Sprintf(saysAsOf, Moment(f.Drawn, l.Zone)), 200)
	}
	return b
}

// buttons are those of a finding without a run; a run brings its own.
func (l Look) buttons(f finding.Finding) []Press {
	if len(l.Run) > 0 {
		return nil
	}
	details := Press{Action: ActionDetails, Value: f.ID, Text: saysLabelDetails}
	if f.State.Final() {
		return []Press{details}
	}
	if f.State == finding.Muted {
		return []Press{{Action: ActionUnmute, Value: f.ID, Text: saysLabelUnmute}, details}
	}
	var out []Press
	if f.Subject.Kind.OfWorker() {
		out = append(out, Press{Action: ActionAskAgain, Value: f.ID, Text: saysLabelOfferRestart})
	}
	return append(out, Press{Action: ActionNotNow, Value: f.ID, Text: saysLabelNotNow}, details)
}

// icons show severity beside words that say it too.
var icons = map[finding.Severity]string{finding.Critical: ":rotating_light:", finding.High: ":red_circle:",
	finding.Medium: ":large_orange_circle:", finding.Low: ":large_yellow_circle:"}

// icon is a finding's severity as long as there is something to do about it;
// beneath it stands what was decided.
func icon(f finding.Finding) string {
	if f.State.Final() || f.Subject.Kind == finding.KindRequest {
		return ""
	}
	return icons[f.Severity]
}

// what says what is wrong: the facts of a leak in fields, or one sentence.
func what(f finding.Finding) []slack.Block {
	if f.Subject.Kind != finding.KindLeak && f.Subject.Kind != finding.KindRequest {
		return []slack.Block{Section(strings.TrimSpace(icon(f) + " " + summary(f)))}
	}
	v := f.Verdict
	lead := strings.TrimSpace(icon(f) + " " + Code(f.Subject.Worker) + " " + Reason(v.Reason))
	if leaking := leakingProcesses(v); leaking != "" {
		lead += " (" + leaking + ")"
	}
	if tasks := leakingTasks(v); tasks != "" {
		lead += fmt.Sprintf(saysLeakingTask, tasks)
	}
	out := []slack.Block{Section(lead), Fields(facts(f)...)}
	if len(v.Evidence) > 0 {
		out = append(out, Context(Escape(strings.Join(v.Evidence[:min(2, len(v.Evidence))], " · "))))
	}
	return out
}

// facts are the numbers people act on.
func facts(f finding.Finding) []string {
	v := f.Verdict
	out := []string{fmt.Sprintf(saysFieldHolds, Bytes(v.Footprint))}
	if v.Rate != nil {
		out = append(out, fmt.Sprintf(saysFieldGrows, RateBetween(*v.Rate)))
	}
	if v.Onset != nil {
		out = append(out, fmt.Sprintf(saysFieldSince, Date(*v.Onset)))
	}
	if e := v.Exhaustion; e != nil && !e.Expected.IsZero() {
		out = append(out, fmt.Sprintf(saysFieldRunsOut, Date(e.Expected), Bytes(e.Limit.Bytes), Escape(e.Limit.Source)))
	}
	if f.Share > 0 {
		out = append(out, fmt.Sprintf(saysFieldShare, Percent(min(f.Share, 1))))
	}
	if f.OOMKills > 0 {
		out = append(out, fmt.Sprintf(saysFieldOOMKills, fmt.Sprint(f.OOMKills)))
	}
	return append(out, fmt.Sprintf(saysFieldSure, Sure(v.Confidence), Percent(v.Confidence)))
}

func leakingProcesses(v detector.Verdict) string {
	var names []string
	for _, p := range v.Processes {
		if p.Kind == detector.Leak && p.PID > 0 {
			names = append(names, fmt.Sprintf(saysProcess, p.Role, p.PID))
		}
	}
	if len(names) == 0 || len(names) == len(v.Processes) {
		return ""
	}
	if len(names) > 3 {
		return fmt.Sprintf(saysOfProcesses, len(names), len(v.Processes))
	}
	return list(names)
}

func leakingTasks(v detector.Verdict) string {
	var names []string
	for _, t := range v.Tasks {
		if t.Kind == detector.TaskLeak {
			names = append(names, fmt.Sprintf(saysTaskACall, Code(t.Task), Bytes(t.BytesPerCall.Value)))
		}
	}
	return list(names[:min(len(names), 3)])
}

// Alt says the picture in words.
func Alt(f finding.Finding, at time.Time) string {
	v := f.Verdict
	s := fmt.Sprintf(saysAlt, f.Subject.Title(), Bytes(v.Footprint))
	if v.Rate != nil {
		s += fmt.Sprintf(saysAltGrows, Rate(v.Rate.Value))
	}
	if left := Left(v.Exhaustion, at); left != "" {
		s += fmt.Sprintf(saysAltReaches, Bytes(v.Exhaustion.Limit.Bytes), left)
	}
	return Plain(s, 2000) + "."
}

// Details are the evidence behind a finding, for its thread or a modal.
func Details(f finding.Finding) []slack.Block {
	v := f.Verdict
	if f.Subject.Kind.OfSilence() {
		return []slack.Block{Section(summary(f))} // nothing was judged
	}
	blocks := []slack.Block{Section(fmt.Sprintf(saysWhyPart, bullets(v.Evidence)))}
	if ps := processLines(v); len(ps) > 0 {
		blocks = append(blocks, Section(fmt.Sprintf(saysProcessesPart, bullets(ps))))
	}
	if len(v.Tasks) > 0 {
		var lines []string
		for _, t := range v.Tasks[:min(len(v.Tasks), 10)] {
			lines = append(lines, fmt.Sprintf(saysTaskLine, t.Task, taskWords[t.Kind], Bytes(t.BytesPerCall.Value), Bytes(t.BytesPerCall.Low), Bytes(t.BytesPerCall.High)))
		}
		blocks = append(blocks, Section(fmt.Sprintf(saysTasksPart, bullets(lines))))
	}
	if f.Droplet != nil && len(f.Droplet.Evidence) > 0 {
		blocks = append(blocks, Section(fmt.Sprintf(saysDropletPart, bullets(f.Droplet.Evidence))))
	}
	if v.MinDetectable != nil {
		blocks = append(blocks, Context(fmt.Sprintf(saysCouldNotSee, Rate(*v.MinDetectable))))
	}
	return blocks
}

func processLines(v detector.Verdict) (lines []string) {
	for _, p := range v.Processes[:min(len(v.Processes), 15)] {
		line := fmt.Sprintf(saysProcessLine, p.Role, p.PID, Reason(p.Reason))
		if p.Kind == detector.Leak {
			line = fmt.Sprintf(saysProcessLeaks, p.Role, p.PID)
		}
		if p.Rate != nil {
			line += ", " + Rate(p.Rate.Value)
		}
		lines = append(lines, line)
	}
	return lines
}

// bullets lists outside sentences.
func bullets(sentences []string) string {
	if len(sentences) == 0 {
		return saysNothingRecorded
	}
	var b strings.Builder
	for _, s := range sentences {
		b.WriteString("• " + Escape(s) + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
