package chat_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slacksim"
)

// posted is the newest message of a channel.
func (d *desk) posted(channel string) slacksim.Message {
	d.t.Helper()
	all := d.sim.Messages(channel)
	if len(all) == 0 {
		d.t.Fatalf("nothing stands in %s", channel)
	}
	return all[len(all)-1]
}

func (d *desk) reports(channel, tag string) slacksim.Message {
	d.t.Helper()
	if err := d.chat.Report(d.t.Context(), channel, tag, time.Time{}); err != nil {
		d.t.Fatal(err)
	}
	return d.posted(channel)
}

func kinds(m slacksim.Message) string {
	var out []string
	for _, b := range m.Blocks {
		out = append(out, fmt.Sprint(b["type"]))
	}
	return strings.Join(out, " ")
}

// TestReportSteps: a table with a picture where Slack takes tables, sections
// with the picture where it does not, then sections, then words; the report is
// never lost.
func TestReportSteps(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.opened("mail")
		for _, c := range []struct{ refuse, want string }{
			{"", "header section data_table image context"},
			{"data_table", "header section section image context"},
			{"image", "header section section context"},
			{"header", ""},
		} {
			d.sim.Faults(func(x *slacksim.Faults) { x.RefuseBlocks[c.refuse] = true })
			m := d.reports(ops, "")
			if got := kinds(m); got != c.want {
				t.Errorf("with %q refused, too: %s", c.refuse, got)
			}
			wantText(t, "the report", m.PlainText(), "mail on web-1: out of memory in 11 h", "3 workers, 1 leaking")
		}
	})
}

// TestReportOnce: a due report that was posted is not posted again by the one
// who takes it over, nor by another schedule of the same channel and tag.
func TestReportOnce(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.opened("mail")
		due, before := time.Now(), len(d.sim.Messages(ops))
		for _, c := range []struct {
			tag  string
			due  time.Time
			want int
		}{
			{"", due, 1},
			{"", due, 1},
			{"", due.Add(-time.Minute), 1},
			{"celery", due, 2},
			{"", due.Add(time.Minute), 3},
			{"", time.Time{}, 4},
		} {
			if err := d.chat.Report(t.Context(), ops, c.tag, c.due); err != nil {
				t.Fatal(err)
			}
			if n := len(d.sim.Messages(ops)) - before; n != c.want {
				t.Errorf("tag %q, due %v: %d reports, want %d", c.tag, c.due.Sub(due), n, c.want)
			}
		}
	}, func(d *desk) { d.cursors = &marks{at: map[string]string{}} })
}

// TestReportAnswered: a response address shows no pictures, and the table all
// the same; where it takes no tables, the sections go.
func TestReportAnswered(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.opened("mail")
		if got := kinds(d.say(carla, "/leaks report")); got != "header section data_table context" {
			t.Errorf("the answer is %s", got)
		}
		d.sim.Faults(func(x *slacksim.Faults) { x.RefuseBlocks["data_table"] = true })
		if got := kinds(d.say(carla, "/leaks report")); got != "header section section context" {
			t.Errorf("without tables the answer is %s", got)
		}
	})
}

// TestDecideFromARow: the button of a row opens the same question with its
// card; the same people may answer it, and the modal says what came of it and
// keeps no button that has had its day.
func TestDecideFromARow(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.opened("mail")
		m := d.reports(ops, "")
		open := func(user string) string {
			t.Helper()
			if err := d.sim.Click(user, ops, m.TS, report.ActionReview+":0"); err != nil {
				t.Fatal(err)
			}
			d.rest(time.Second)
			return d.modal(user)
		}
		press := func(user, action string) string {
			t.Helper()
			if err := d.sim.ClickView(user, action); err != nil {
				t.Fatal(err)
			}
			d.rest(5 * time.Second)
			return d.modal(user)
		}
		wantText(t, "the card", open(carla), "mail on web-1", "[Snapshot & restart]", "get 10 s to finish, then are killed", "[Not now]")
		if text := d.modal(carla); strings.Contains(text, "[Details]") {
			t.Errorf("the modal would open another:\n%s", text)
		}
		wantText(t, "the refusal", press(carla, report.ActionRestart), "not among the configured approvers", "[Snapshot & restart]")
		open(ben)
		open(anna)
		after := press(anna, report.ActionRestart)
		wantText(t, "the approval", after, "Approved by <@U0ANNA>", "[Cancel]")
		if strings.Contains(after, "[Snapshot & restart]") {
			t.Errorf("the button outlives its click:\n%s", after)
		}
		wantText(t, "the other's click", press(ben, report.ActionRestart), "decided before your click", "<@U0ANNA>", "Approved by")
		if v := d.run(); v.Settled == nil || v.Settled.By != anna || len(d.journal("refusal")) != 2 { // carla may not, ben came second
			t.Errorf("settled by %+v, %d refusals", v.Settled, len(d.journal("refusal")))
		}
		d.rest(time.Hour)
		if _, restarts := d.far.counted(); restarts != 1 {
			t.Errorf("%d restarts", restarts)
		}
		wantText(t, "the row afterwards", open(anna), "Memory freed, worker working")
		if n := len(d.sim.Ephemerals(anna)) + len(d.sim.Ephemerals(ben)); n != 0 {
			t.Errorf("%d answers stand outside the modal", n)
		}
	})
}

// TestAnswerStaysInTheModal: what a click came to is read where it was
// clicked, and the look at the finding that follows does not take it away.
func TestAnswerStaysInTheModal(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.opened("mail")
		m := d.reports(ops, "")
		if err := d.sim.Click(anna, ops, m.TS, report.ActionReview+":0"); err != nil {
			t.Fatal(err)
		}
		d.rest(time.Second)
		if err := d.sim.ClickView(anna, report.ActionNotNow); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Second)
		text := d.modal(anna)
		wantText(t, "the modal", text, "Noted: not now.", "Answered by <@U0ANNA>")
		if strings.Contains(text, "[Snapshot & restart]") || strings.Contains(text, "Approved by") {
			t.Errorf("a button outlives what it decides:\n%s", text)
		}
		if err := d.sim.Click(anna, ops, m.TS, report.ActionReview+":0"); err != nil {
			t.Fatal(err)
		}
		d.rest(time.Second)
		wantText(t, "the modal anew", d.modal(anna), "muted by <@U0ANNA>", "[Unmute]")
		if err := d.sim.ClickView(anna, report.ActionUnmute); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Second)
		if text := d.modal(anna); strings.Contains(text, "muted by") || strings.Contains(text, "[Unmute]") { // nothing is said: it shows
			t.Errorf("the modal does not show what the click did:\n%s", text)
		}
	})
}

// modal is what somebody reads in the modal they have open.
func (d *desk) modal(user string) string {
	d.t.Helper()
	v, ok := d.sim.Modal(user)
	if !ok {
		d.t.Fatalf("%s has no modal open", user)
	}
	return slacksim.Message{Blocks: v.Blocks}.PlainText()
}

// TestRowOfAnIncident opens the one question about all of them.
func TestRowOfAnIncident(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.incident(3)
		m := d.reports(ops, "")
		wantText(t, "the row", m.PlainText(), "and 2 more, one incident")
		if n := len(m.Buttons()); n != 1 {
			t.Fatalf("%d rows for one incident", n)
		}
		if err := d.sim.Click(anna, ops, m.TS, report.ActionReview+":0"); err != nil {
			t.Fatal(err)
		}
		d.rest(time.Second)
		wantText(t, "the question", d.modal(anna), "Rolling restart", "[Restart all, one at a time]")
		if err := d.sim.ClickView(anna, report.ActionRollout); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Second)
		wantText(t, "the approval", d.modal(anna), "approved by <@U0ANNA>", "[Cancel the rolling restart]")
	})
}

// marks are cursors in memory.
type marks struct {
	mu sync.Mutex
	at map[string]string
}

func (m *marks) Cursor(_ context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at[name], nil
}

func (m *marks) SetCursor(_ context.Context, name, at string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at[name] = at
	return nil
}

// TestSinceTheLastReport: what changed is told from one report of a channel to
// its next, and of the droplets alone that the report is about.
func TestSinceTheLastReport(t *testing.T) {
	known := &marks{at: map[string]string{}}
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		wantText(t, "the first", d.reports(ops, "").PlainText(), "In the last day", "mail on web-1: new")
		d.rest(2 * time.Hour)
		wantText(t, "the second", d.reports(ops, "").PlainText(), "Nothing was found or settled since the last report")
		wantText(t, "another channel's first", d.reports("C0DEPLOYS", "").PlainText(), "In the last day", "mail on web-1: new")
		elsewhere := leak(d.far.view(), "thumbs")
		elsewhere.Subject.DropletID, elsewhere.Subject.DropletName = "43", "web-2"
		elsewhere.Opened = time.Now()
		if err := d.store.OpenFinding(t.Context(), elsewhere); err != nil {
			t.Fatal(err)
		}
		d.far.more = []string{"43"}
		_, err := finding.Change(t.Context(), d.store, f.ID, func(f *finding.Finding) error {
			return f.Dismiss(anna, "a <load> test & more", time.Now())
		})
		if err != nil {
			t.Fatal(err)
		}
		d.rest(time.Minute)
		whole := d.reports(ops, "").PlainText()
		wantText(t, "the third", whole, "Since the last report, <!date^", "mail on web-1: dismissed: a &lt;load&gt; test &amp; more", "thumbs on web-2: new")
		if part := d.reports(ops, "celery").PlainText(); strings.Contains(part, "thumbs") || !strings.Contains(part, "mail on web-1: dismissed") {
			t.Errorf("the report about a tag tells of others:\n%s", part)
		}
	}, func(d *desk) { d.cursors = known })
	maps.DeleteFunc(known.at, func(name, _ string) bool { return !strings.HasPrefix(name, "report/") })
	if len(known.at) != 3 {
		t.Errorf("remembered: %v", known.at)
	}
}

// TestFolding: ten stand in the report, and the command it names has them all.
func TestFolding(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		for i := range 14 {
			f := leak(d.far.view(), fmt.Sprintf("mail-%02d", i))
			if err := d.store.OpenFinding(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		m := d.reports(ops, "")
		if n := len(m.Buttons()); n != 10 {
			t.Errorf("%d rows", n)
		}
		wantText(t, "the fold", m.PlainText(), "and 4 more: `/leaks report all`")
		answer := d.say(carla, "/leaks report all").PlainText()
		for i := range 14 {
			wantText(t, "all of them", answer, fmt.Sprintf("mail-%02d on web-1", i))
		}
	})
}
