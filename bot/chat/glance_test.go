package chat

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
)

// longNames gives a finding and its run names that no notification has room
// for.
func longNames(f finding.Finding, v remedy.View) (finding.Finding, remedy.View) {
	f.Subject.Worker, f.Subject.DropletName = strings.Repeat("sends-the-mail-", 8), strings.Repeat("web-of-frankfurt-", 8)
	v.Plan.Worker, v.Plan.Droplet = f.Subject.Worker, f.Subject.DropletName
	return f, v
}

// first80 is what a lock screen shows of a message.
func first80(text string) string { return string([]rune(text)[:min(len([]rune(text)), 80)]) }

// TestAtAGlance: in every state of a finding's message, with short names and
// long, what is read first tells the worker, the time left or what became of
// it, and the ask; and before a phone's fold stand two buttons at most, above
// them how a run ended.
func TestAtAGlance(t *testing.T) {
	for name, v := range runs() {
		f := stateFor(v)
		long, longRun := longNames(f, v)
		for which, x := range map[string]struct {
			f      finding.Finding
			v      remedy.View
			worker string
		}{"short": {f, v, "mail on web-1"}, "long": {long, longRun, "sends-the-mail-se… on web-of-fran…"}} {
			before := kindsOf(x.v)
			m := report.Finding(x.f, shown(report.Look{At: noon, Picture: x.f.Picture}, x.f, x.v, noon))
			got, told := first80(m.Text), "out of memory in 12 h"
			if s := story(x.f, x.v); s != "" {
				told = s
			}
			asks := ""
			if v.Outcome == "" && v.Settled == nil {
				asks = "Approve a " // restart, snapshot
			}
			for _, want := range []string{x.worker, told, asks} {
				if !strings.Contains(got, want) {
					t.Errorf("%s, %s names: a lock screen shows %q, without %q", name, which, got, want)
				}
			}
			beforeFold(t, name, m.Blocks)
			tooLate(t, name, v.TooLate && !waitsTooLong(v), m.Blocks)
			if after := kindsOf(x.v); !slices.Equal(after, before) {
				t.Errorf("%s: showing it changed the run's buttons from %v to %v", name, before, after)
			}
			if v.Outcome == "" {
				continue
			}
			lead := m.Blocks[1].(*slack.SectionBlock).Text.Text
			if want := sentence(v.Outcome.Words()); v.Relapse == nil && !strings.Contains(lead, want) || v.Relapse != nil && !strings.Contains(lead, "grows again") {
				t.Errorf("%s begins with %q, not with how it ended", name, lead)
			}
		}
	}
	for name, m := range incidents() {
		beforeFold(t, "incident "+name, m.Blocks)
		if !strings.Contains(first80(m.Text), "mail on ") {
			t.Errorf("incident %s: a lock screen shows %q", name, first80(m.Text))
		}
	}
}

func kindsOf(v remedy.View) (out []remedy.Kind) {
	for _, b := range v.Buttons {
		out = append(out, b.Kind)
	}
	return out
}

// tooLate: where memory runs out before a snapshot can finish, the first row has
// the button that skips it, and what stands above says why; nowhere else.
func tooLate(t *testing.T, name string, late bool, blocks []slack.Block) {
	t.Helper()
	said, skips := false, false
	for _, b := range blocks {
		if s, ok := b.(*slack.SectionBlock); ok && s.Text != nil {
			said = said || strings.Contains(s.Text.Text, saysCardTooLate)
		}
		row, ok := b.(*slack.ActionBlock)
		if !ok {
			continue
		}
		for _, e := range row.Elements.ElementSet {
			press, ok := e.(*slack.ButtonBlockElement)
			skips = skips || ok && press.ActionID == report.ActionSkip
		}
		break
	}
	if said != late || skips != late {
		t.Errorf("%s, too late %v: said above the buttons %v, skipping in their first row %v", name, late, said, skips)
	}
}

// beforeFold looks at the first row of buttons, and at what stands above it.
// Incidents that have something to press have it right behind their first
// section.
func beforeFold(t *testing.T, name string, blocks []slack.Block) {
	t.Helper()
	if strings.HasPrefix(name, "incident ") {
		if !slices.ContainsFunc(blocks, func(b slack.Block) bool { return b.BlockType() == slack.MBTAction }) {
			return
		}
		blocks = blocks[:3]
	}
	for _, b := range blocks {
		switch b := b.(type) {
		case *slack.ImageBlock:
			t.Errorf("%s has its chart above its buttons", name)
		case *slack.ActionBlock:
			buttons := 0
			for _, e := range b.Elements.ElementSet {
				if e.ElementType() == slack.METButton {
					buttons++
				}
			}
			if buttons == 0 || buttons > 2 {
				t.Errorf("%s has %d buttons before the fold", name, buttons)
			}
			return
		case *slack.SectionBlock:
			if b.Fields != nil {
				t.Errorf("%s has its facts above its buttons", name)
			}
		}
	}
	t.Errorf("%s has no buttons before the fold", name)
}

// TestGrowthAfterwards: from when on it could be told that growth stopped is
// said until then, and no longer.
func TestGrowthAfterwards(t *testing.T) {
	v := ended(remedy.FreedWorking, "", "", "")
	for at, want := range map[time.Time]string{
		v.Life.Tells.Add(-time.Minute): "that it stopped is not known before " + report.Date(v.Life.Tells),
		v.Life.Tells:                   "not known yet",
	} {
		if got := growth(mail(), v, at); got != "*Growth*\n+44 MiB/h → "+want {
			t.Errorf("at %v: %q", at, got)
		}
	}
}

// TestChartsInWords: whoever cannot see a chart hears its numbers.
func TestChartsInWords(t *testing.T) {
	charts := 0
	for name, v := range runs() {
		f := stateFor(v)
		m := report.Finding(f, shown(report.Look{At: noon, Picture: f.Picture}, f, v, noon))
		for _, alt := range alts(m.Blocks) {
			charts++
			want := []string{"mail on web-1", "1.5 GiB"}
			if story(f, v) == "" {
				want = append(want, "+44 MiB/h", "2.0 GiB", "in 12 h")
			}
			for _, w := range want {
				if !strings.Contains(alt, w) {
					t.Errorf("%s: the chart is %q, without %q", name, alt, w)
				}
			}
		}
	}
	for name, m := range incidents() {
		for _, alt := range alts(m.Blocks) {
			charts++
			if name != "closed" && (!strings.Contains(alt, "1.5 GiB") || !strings.Contains(alt, "+44 MiB/h")) {
				t.Errorf("incident %s: the chart is %q", name, alt)
			}
		}
	}
	if charts < 40 {
		t.Errorf("only %d charts were looked at", charts)
	}
}

func alts(blocks []slack.Block) (out []string) {
	for _, b := range blocks {
		if i, ok := b.(*slack.ImageBlock); ok {
			out = append(out, i.AltText)
		}
	}
	return out
}

// apart is a number and its unit that a line may end between.
var apart = regexp.MustCompile(`\d (?:[KMGT]iB|GB|h|min|s|days|%)(?:[^\w]|$)`)

// TestNumbersKeepTheirUnits on one line, in every block of every message; what
// people copy out of code has ordinary spaces.
func TestNumbersKeepTheirUnits(t *testing.T) {
	for name, m := range golden() {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var whole struct{ Blocks []any }
		if err := json.Unmarshal(raw, &whole); err != nil {
			t.Fatal(err)
		}
		for _, s := range mrkdwnOf(whole.Blocks) {
			for i, part := range strings.Split(s, "`") {
				if bad := apart.FindString(part); i%2 == 0 && bad != "" {
					t.Errorf("%s may end a line within %q: %s", name, bad, s)
				}
				if i%2 == 1 && strings.Contains(part, "\u00a0") {
					t.Errorf("%s has a space in code that is none: %s", name, part)
				}
			}
		}
	}
}

// mrkdwnOf are the texts of mrkdwn in blocks.
func mrkdwnOf(v any) (out []string) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			out = append(out, mrkdwnOf(x)...)
		}
	case map[string]any:
		if v["type"] == "mrkdwn" {
			return []string{v["text"].(string)}
		}
		for _, x := range v {
			out = append(out, mrkdwnOf(x)...)
		}
	}
	return out
}
