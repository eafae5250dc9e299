package chat

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

// fleetScan is a scan of so many workers, one in fifty of them leaking.
func fleetScan(workers int) watch.Summary {
	sum := watch.Summary{At: noon}
	names := []string{"mail", "web", "thumbs", "reports", "billing"}
	for i := range workers {
		if i%5 == 0 {
			id := fmt.Sprint(100 + i/5)
			sum.Views = append(sum.Views, watch.View{At: noon, Droplet: watch.Droplet{ID: id, Name: fmt.Sprintf("web-%d", i/5+1)}})
		}
		v := &sum.Views[len(sum.Views)-1]
		w := detector.Worker{Name: names[i%5], Lives: []detector.Life{{PID: 100, Role: detector.RoleParent, Slot: "main", Start: noon.Add(-48 * time.Hour)}}}
		verdict := detector.Verdict{Kind: detector.Healthy, Reason: detector.ReasonFlat, Metric: "rss+swap", Footprint: float64(200+10*(i%7)) * mib}
		grows := 0.0
		switch {
		case i%50 == 0:
			verdict, grows = mail().Verdict, 25*mib
			e := *verdict.Exhaustion
			e.Expected = e.Expected.Add(time.Duration(i) * time.Minute)
			verdict.Exhaustion = &e
		case i%50 == 7:
			verdict.Kind, verdict.Reason = detector.Unsure, detector.ReasonTooShort
		}
		for h := 48.0; h >= 0; h -= 2 {
			v := verdict.Footprint - grows*h
			w.Lives[0].Samples = append(w.Lives[0].Samples, detector.Sample{At: noon.Add(-time.Duration(h * float64(time.Hour))), RSS: v, PSS: v, USS: v})
		}
		v.Workers, v.Verdicts = append(v.Workers, w), append(v.Verdicts, verdict)
	}
	return sum
}

// page is a scene of so many workers.
func page(workers int) *scene {
	sum := fleetScan(workers)
	s := &scene{at: noon.Add(11 * time.Minute), channel: "C0OPS", scanned: noon, workers: workers, droplets: len(sum.Views), fleet: report.Fleet(trends(sum), noon, homeFleet), listed: true}
	for _, v := range sum.Views {
		for _, verdict := range v.Verdicts {
			s.leaking += one(verdict.Kind.Leaks())
		}
	}
	return s
}

func kept(i int) remedy.Kept {
	return remedy.Kept{Run: "r1", Plan: remedy.Plan{Droplet: fmt.Sprintf("web-%d", i)}, MonthlyUSD: 0.67, Expires: noon.Add(30 * 24 * time.Hour),
		Snapshot: remedy.Snapshot{Name: fmt.Sprintf("dropleak-mail-%d", i), SizeGB: 11.2}}
}

// pages is the App Home in every state.
func pages() map[string]*scene {
	other := mail()
	other.ID, other.Subject.Worker, other.Subject.DropletName, other.Severity = "f8k3", "billing", "web-2", finding.Medium
	muted := mail()
	muted.ID, muted.Subject.DropletName, muted.State, muted.By, muted.MuteWorse = "f9k4", "web-3", finding.Muted, "U0BEN", true
	silent := finding.Finding{ID: "f1s1", Severity: finding.Low, Subject: finding.Subject{Kind: finding.KindSilent, DropletName: "web-9"},
		State: finding.Open, Summary: "the agent has not reported since 22 Nov 11:55 UTC; nothing is known of its workers", Updated: noon, Began: noon.Add(-5 * time.Minute)}
	inHand := under("snapshot")
	inHand.Run, inHand.Finding, inHand.Plan.Worker = "r4y8", "f8k3", "billing"
	full := func(mine bool) *scene {
		s := page(12)
		s.findings = []finding.Finding{mail(), other, muted, silent}
		if mine {
			s.sources = []string{"prometheus: every 1 min, newest sample of 22 Nov 11:30 UTC or after, nothing missing", "db-1 by monitoring: every 1 min, newest sample of 22 Nov 11:30 UTC or after, 1 missing: see dropleak sources"}
		}
		s.questions = []standing{{f: mail(), v: asked(), mine: mine}}
		s.runs = []standing{{f: other, v: inHand, mine: mine}}
		s.shelf = []remedy.Kept{kept(1), {Run: "r2", Plan: remedy.Plan{Droplet: "web-2"}, MonthlyUSD: 0.67, Pinned: &remedy.Vote{By: "U0BEN"},
			Snapshot: remedy.Snapshot{Name: "dropleak-billing-r2", SizeGB: 11.2}}}
		return s
	}
	calm := page(12)
	calm.leaking = 0
	sum := fleetScan(12)
	sum.Views[0].Verdicts[0], sum.Views[0].Workers[0].Lives = sum.Views[0].Verdicts[1], sum.Views[0].Workers[1].Lives
	calm.fleet = report.Fleet(trends(sum), noon, homeFleet)
	turning := func(mine bool) *scene {
		s := page(12)
		under, _ := rolled(12, remedy.FreedWorking, "")
		under.Incident = "f1"
		s.asked, s.rolling = []rolling{{members: struck(40), v: rollingQuestion(40), mine: mine}}, []rolling{{members: struck(12), v: under, mine: mine}}
		return s
	}
	return map[string]*scene{"rolling": turning(true), "rolling-colleague": turning(false), "approver": full(true), "colleague": full(false), "calm": calm,
		"first": {at: noon, channel: "C0OPS", trouble: []string{"DigitalOcean: 401 Unable to authenticate you"}}}
}

// A fleet of ordinary size is listed in full.
func TestHomeListsTheFleet(t *testing.T) {
	raw, err := json.Marshal(homeView(page(300).blocks()...))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "more workers") {
		t.Errorf("of 300 workers it leaves some out")
	}
}

// Whatever the fleet, the page stays within what Slack takes: 100 blocks, 250
// KB, 3,000 characters a section.
func TestHomeFitsLargeFleets(t *testing.T) {
	s := page(6000)
	for i := range 60 {
		f := mail()
		f.ID, f.Subject.Worker = fmt.Sprint("f", i), strings.Repeat("<mail&", 40)
		v := asked()
		v.Finding, v.Plan.Worker = f.ID, f.Subject.Worker
		s.findings = append(s.findings, f)
		if i%2 == 0 {
			s.questions = append(s.questions, standing{f: f, v: v, mine: true})
		} else if i%3 == 0 {
			u := under("snapshot")
			u.Finding, u.TooLate = f.ID, true
			s.runs = append(s.runs, standing{f: f, v: u, mine: true})
		}
		s.shelf = append(s.shelf, kept(i))
		if i%10 == 0 {
			s.asked = append(s.asked, rolling{members: struck(40), v: rollingQuestion(40), mine: true})
			s.rolling = append(s.rolling, rolling{members: struck(40), v: rollingQuestion(40), mine: true})
		}
	}
	for i := range homeFindings + 1 {
		f := mail()
		f.ID = fmt.Sprint("free", i)
		s.findings = append(s.findings, f)
	}
	for range 5 {
		s.trouble = append(s.trouble, strings.Repeat("DigitalOcean does not answer. ", 20))
	}
	for i := range 60 {
		s.sources = append(s.sources, fmt.Sprintf("mail<%d> on web-1 by agent: every 30 s, gaps in a day: 2, 14 min", i))
	}
	blocks := s.blocks()
	raw, err := json.Marshal(homeView(blocks...))
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) > 100 || len(raw) > 250_000 {
		t.Errorf("%d blocks, %d bytes", len(blocks), len(raw))
	}
	for _, b := range blocks {
		if x, ok := b.(*slack.SectionBlock); ok && x.Text != nil && len([]rune(x.Text.Text)) > 3000 {
			t.Errorf("a section of %d characters", len([]rune(x.Text.Text)))
		}
	}
	for _, not := range []string{`\u003cmail`, `amp;amp;`, `amp;lt;`} { // outside names are escaped, and once
		if strings.Contains(string(raw), not) {
			t.Errorf("the page says %q", not)
		}
	}
	for _, want := range []string{`\u0026lt;mail\u0026amp;`, "36 approvals wait for you · 6000 workers, 120 leaking", "22 more questions", "3 more rolling restarts", "more workers: `/leaks worker NAME`", "50 more snapshots", "60 snapshots", `mail\u0026lt;19\u0026gt;`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	t.Logf("%d blocks, %d bytes", len(blocks), len(raw))
}

// Nobody's page is kept true who has not looked for long, and the number of
// pages is bounded.
func TestWhoIsLooking(t *testing.T) {
	h := homes{viewers: map[string]*viewer{}}
	for i := range maxViewers + 5 {
		h.opened(slackapp.Who{User: fmt.Sprintf("U%03d", i)}, noon.Add(time.Duration(i)*time.Second))
	}
	if n := len(h.looking(noon)); n != maxViewers || h.viewers["U004"] != nil || h.viewers["U005"] == nil {
		t.Errorf("%d pages; the oldest is kept: %v, one too many went: %v", n, h.viewers["U004"] != nil, h.viewers["U005"] == nil)
	}
	again := h.opened(slackapp.Who{User: "U010"}, noon.Add(time.Hour))
	left := h.looking(noon.Add(viewFor + 30*time.Minute))
	if len(left) != 1 || left[0] != again {
		t.Errorf("%d pages after %v", len(left), viewFor)
	}
}
