package chat_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/chat"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/watch"
)

// opens lets somebody look at the App Home, and returns what they see.
func (d *desk) opens(user string) slacksim.Message {
	d.t.Helper()
	if err := d.sim.OpenHome(user); err != nil {
		d.t.Fatal(err)
	}
	d.rest(10 * time.Second)
	return d.sees(user)
}

func (d *desk) sees(user string) slacksim.Message {
	d.t.Helper()
	v, ok := d.sim.Home(user)
	if !ok {
		d.t.Fatalf("%s has no App Home", user)
	}
	return slacksim.Message{Blocks: v.Blocks}
}

func (d *desk) published() int { return len(d.sim.Calls("views.publish")) }

// TestHome: an approver sees what waits, decides there, and watches it go on
// without opening the page again; a colleague sees the same without buttons.
func TestHome(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		page := d.opens(anna)
		wantText(t, "the page", page.PlainText(), "1 approval waits for you · 3 workers, 1 leaking", "Waiting for an approval", "mail on web-1",
			"▁▂▃▄▅▆▇█", "out of memory in 11 h", "`web` on web-1  ▁▁▁▁▁▁▁▁", "Snapshot & restart")
		if b := d.opens(carla); offers(b, report.ActionRestart) || !offers(b, report.ActionDetails) {
			t.Errorf("somebody who may not decide is offered %v", actions(b))
		}

		if err := d.sim.ClickView(anna, report.ActionRestart); err != nil {
			t.Fatal(err)
		}
		d.rest(4 * time.Second) // less than until the page is looked over anyway
		page = d.sees(anna)
		wantText(t, "the page after the approval", page.PlainText(), "Runs in flight", "approved by <@U0ANNA>", "Snapshot the droplet", "of 7)")
		if offers(page, report.ActionRestart) || !offers(page, report.ActionCancel) {
			t.Errorf("after the approval the page offers %v", actions(page))
		}
		wantText(t, "the colleague's page", d.sees(carla).PlainText(), "Runs in flight")
		d.rest(time.Hour)
		page = d.sees(anna)
		if offers(page, report.ActionCancel) || d.finding(f.ID).State == finding.InHand {
			t.Errorf("at the end the page offers %v", actions(page))
		}
	})
}

// What a click there is answered with stands where the clicker looks: in a
// modal, and no stale button decides anything.
func TestHomeAnswersInAModal(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		d.opens(anna)
		if err := d.sim.ClickView(anna, report.ActionDetails); err != nil {
			t.Fatal(err)
		}
		d.rest(time.Second)
		if v, ok := d.sim.Modal(anna); !ok || v.Title != "Why?" {
			t.Errorf("details open %+v, %v", v, ok)
		}
		d.sim.CloseModal(anna)
		if err := d.sim.OpenHome(anna); err != nil { // and the page stays as it is for three seconds
			t.Fatal(err)
		}
		d.rest(time.Second)
		if err := d.sim.Click(ben, ops, d.finding(f.ID).MessageTS, report.ActionRestart); err != nil {
			t.Fatal(err)
		}
		d.rest(time.Second)
		if err := d.sim.ClickView(anna, report.ActionRestart); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Second)
		v, ok := d.sim.Modal(anna)
		wantText(t, "the modal", slacksim.Message{Blocks: v.Blocks}.PlainText(), ":no_entry:", "decided before your click", "<@U0BEN>")
		if n := len(d.sim.Ephemerals(anna)); !ok || n != 0 {
			t.Errorf("%d answers in the channel", n)
		}
	})
}

func TestHomeIsForMembers(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.opened("mail")
		page := d.opens(gus)
		wantText(t, "the guest's page", page.PlainText(), "Only full members")
		d.tell(watch.Worse, d.run().Finding)
		d.rest(time.Minute)
		if text := d.sees(gus).PlainText(); text != page.PlainText() {
			t.Errorf("the guest's page became\n%s", text)
		}
	})
}

// A page that is still true is left alone.
func TestHomeIsPublishedOnChangeOnly(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.far.scanned = false // a scan's time is on the page
		f, _ := d.opened("mail")
		d.opens(anna)
		n := d.published()
		d.rest(10 * time.Minute)
		if now := d.published(); now != n {
			t.Errorf("published %d times while nothing changed", now-n)
		}
		d.press(anna, f.ID, report.ActionNotNow)
		if now := d.published(); now == n {
			t.Error("a change was not published")
		}
	})
}

// Another replica keeps the same person's page. Whoever finds a newer one
// there reads everything anew, so that what was read earlier never stands
// last.
func TestHomeOfTwoReplicas(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		d.opens(anna)
		other := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{report.Section("by the other replica")}}}
		if _, err := d.app.PublishHome(t.Context(), anna, "", other); err != nil {
			t.Fatal(err)
		}
		d.press(anna, f.ID, report.ActionRestart)
		d.rest(time.Minute)
		if n := conflicts(d.sim); n != 1 {
			t.Errorf("%d conflicts with the other replica", n)
		}
		wantText(t, "the page", d.sees(anna).PlainText(), "Runs in flight", "Snapshot the droplet")
	})
}

func conflicts(sim *slacksim.Sim) (n int) {
	for _, e := range sim.Calls("views.publish") {
		if e.Error == "hash_conflict" {
			n++
		}
	}
	return n
}

// TestHomeRace: two replicas keep one person's page while much changes at once.
// Whoever writes an older state over a newer one is corrected when the pages
// are looked over next, and then both leave it alone.
func TestHomeRace(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		who := slackapp.Who{User: anna, Team: "T0DROPLEAK"}
		replicas := []*chat.Chat{d.chat, d.newChat("b")}
		for _, c := range replicas {
			if err := c.LooksAtHome(t.Context(), who); err != nil {
				t.Fatal(err)
			}
		}
		d.sim.Faults(func(x *slacksim.Faults) { x.Slow = 50 * time.Millisecond })
		var wg sync.WaitGroup
		for i := range 20 {
			_, err := finding.Change(t.Context(), d.store, f.ID, func(f *finding.Finding) error {
				f.Updated, f.Verdict.Rate.Value = time.Now(), float64(100+i)*mib
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for j, c := range replicas {
				wg.Go(func() {
					time.Sleep(time.Duration(j*(i%5)) * 20 * time.Millisecond)
					c.RefreshHomes(t.Context())
				})
			}
			time.Sleep(30 * time.Millisecond)
		}
		wg.Wait()
		if conflicts(d.sim) == 0 {
			t.Error("no two writings met")
		}
		for _, c := range replicas { // as they do every half a minute
			c.RefreshHomes(t.Context())
		}
		d.far.scanned = false // a scan's time is on the page
		for _, c := range replicas {
			c.RefreshHomes(t.Context())
		}
		n, truth := d.published(), d.sees(anna).PlainText()
		wantText(t, "the page", truth, "1 approval waits for you")
		for range 3 {
			for _, c := range replicas {
				c.RefreshHomes(t.Context())
			}
		}
		if now := d.published(); now-n > 2 || d.sees(anna).PlainText() != truth {
			t.Errorf("published %d times while nothing changed", now-n)
		}
	})
}

// TestHomeOfARollingRestart: the question about an incident stands on the page
// with its button for who may decide; then its turns do.
func TestHomeOfARollingRestart(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.incident(3)
		page := d.opens(anna)
		wantText(t, "the page", page.PlainText(), "1 approval waits for you", "mail on 3 droplets", "Rolling restart* of 3 workers", "[Restart all, one at a time]")
		if strings.Contains(page.PlainText(), "Open findings") {
			t.Error("the incident's findings stand on the page twice")
		}
		if b := d.opens(carla); strings.Contains(b.PlainText(), "[Restart all") || !strings.Contains(b.PlainText(), "It is for the approvers.") {
			t.Errorf("somebody who may not decide sees\n%s", b.PlainText())
		}
		if err := d.sim.ClickView(anna, report.ActionRollout); err != nil {
			t.Fatal(err)
		}
		d.rest(4 * time.Second)
		wantText(t, "the page after the approval", d.sees(anna).PlainText(), "Runs in flight", "Rolling restart* approved by <@U0ANNA>: 0 of 3 restarted", "[Cancel the rolling restart]")
		wantText(t, "the colleague's page", d.sees(carla).PlainText(), "Rolling restart* approved by <@U0ANNA>")
		d.rest(20 * time.Minute)
		wantText(t, "the page later", d.sees(anna).PlainText(), "1 of 3 restarted, now mail on web-2, 1 to come")
		d.rest(2 * time.Hour)
		if page := d.sees(anna).PlainText(); strings.Contains(page, "Rolling restart") {
			t.Errorf("when all is done the page says\n%s", page)
		}
	})
}
