package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
)

// WorkerLine is one worker of a digest.
type WorkerLine struct {
	Droplet, DropletID, Worker string
	Verdict                    detector.Verdict
	Trend                      string // see [Trend]; "" not drawn
}

// Digest is what a scheduled report says of the fleet.
type Digest struct {
	At       time.Time
	Judged   time.Time         // when the workers were judged; zero: At
	Findings []finding.Finding // live, worst first
	Workers  []WorkerLine
	Unseen   int       // workers, agents or droplets that are silent
	Scanned  bool      // false before the first scan of the fleet
	Since    time.Time // of the last report; zero: Changes are of the last day
	Changes  []string  // escaped by nobody yet
	Trouble  []string  // sources that do not answer
	Kept     *Kept     // nil: none
	Audit    string    // head of the audit log's chain
	Pictures map[string]string
	All      bool // every finding in a line, nothing folded
}

// Kept is what dropleak's own snapshots come to.
type Kept struct {
	Count          int
	GB, MonthlyUSD float64
	Unknown        bool // they could not be listed just now
}

func (k *Kept) words() string {
	switch {
	case k == nil:
		return ""
	case k.Unknown:
		return saysKeptUnlisted
	}
	return fmt.Sprintf(saysKept, count(k.Count, "snapshot"), k.GB, k.MonthlyUSD)
}

// foldAt is how many findings a report shows before it counts the rest.
const foldAt = 10

// Report is the scheduled report: worst first, or one line when all is well.
// What is worst stands in a table with a button for each where Slack takes
// one, else in sections, with the charts of the first.
func Report(d Digest) Message {
	shown, others := foldIncidents(d.Findings)
	if d.All {
		return laddered(d.headline(), d.layout(listed(shown, others, d.At)))
	}
	var fold []slack.Block
	if more := len(shown) - foldAt; more > 0 {
		fold = append(fold, Context(fmt.Sprintf(saysMoreInReport, more)))
		shown = shown[:foldAt]
	}
	m := laddered(d.headline(), d.layout(append(d.entries(shown, others), fold...)))
	if len(shown) > 0 {
		m.Rungs = append([][]slack.Block{m.Blocks}, m.Rungs...)
		rich := append([]slack.Block{table(shown, others, d.At)}, d.charts(shown)...)
		m.Blocks = d.layout(append(rich, fold...))
	}
	return m
}

// layout is a report around what it shows of its findings.
func (d Digest) layout(findings []slack.Block) []slack.Block {
	blocks := []slack.Block{Header(d.headline())}
	lead := saysLastDay
	if !d.Since.IsZero() {
		lead = fmt.Sprintf(saysSinceLast, Date(d.Since))
	}
	if len(d.Changes) > 0 {
		blocks = append(blocks, Section(lead+bullets(d.Changes)))
	} else if !d.Since.IsZero() {
		blocks = append(blocks, Context(fmt.Sprintf(saysNoNews, Date(d.Since))))
	}
	for _, t := range d.Trouble {
		blocks = append(blocks, Section(":warning: "+Escape(t)))
	}
	blocks = append(blocks, findings...)
	if d.Scanned && len(d.Findings) == 0 {
		blocks = append(blocks, Section(d.closest()))
	}
	foot := fmt.Sprintf(saysSeen, count(len(d.Workers), "worker"), Date(d.judged()), d.Kept.words())
	if d.Audit != "" {
		foot += fmt.Sprintf(saysSeenAudit, Code(d.Audit))
	}
	return append(blocks, Context(foot))
}

// entries are findings as sections, the first ones with their charts.
func (d Digest) entries(shown []finding.Finding, others map[string]int) (blocks []slack.Block) {
	for i, f := range shown {
		blocks = append(blocks, Entry(f, d.At))
		if n := others[f.Incident]; n > 0 {
			blocks = append(blocks, Context(fmt.Sprintf(saysMoreOfIncident, count(n, "worker"))))
		}
		if file := d.Pictures[f.ID]; file != "" && i < charted {
			blocks = append(blocks, Picture(file, Alt(f, d.At)))
		}
	}
	return blocks
}

// charted is how many charts a report shows.
const charted = 3

func (d Digest) charts(shown []finding.Finding) (blocks []slack.Block) {
	for _, f := range shown[:min(len(shown), charted)] {
		if file := d.Pictures[f.ID]; file != "" {
			b := Picture(file, Alt(f, d.At))
			b.Title = plainText(Headline(f, d.At), maxHeader)
			blocks = append(blocks, b)
		}
	}
	return blocks
}

// foldIncidents leaves the first finding of each incident, and counts the
// others: one bad deploy is one entry.
func foldIncidents(all []finding.Finding) (shown []finding.Finding, others map[string]int) {
	seen, others := map[string]bool{}, map[string]int{}
	for _, f := range all {
		if f.Incident != "" && seen[f.Incident] {
			others[f.Incident]++
			continue
		}
		seen[f.Incident] = true
		shown = append(shown, f)
	}
	return shown, others
}

func (d Digest) judged() time.Time {
	if d.Judged.IsZero() {
		return d.At
	}
	return d.Judged
}

// untold counts the workers of whom nobody knows yet whether they leak.
func (d Digest) untold() (n int) {
	for _, w := range d.Workers {
		if w.Verdict.Kind == detector.Unsure {
			n++
		}
	}
	return n
}

func (d Digest) headline() string {
	if !d.Scanned && len(d.Findings) == 0 {
		return saysNotScanned
	}
	leaking := 0
	for _, f := range d.Findings {
		if f.Leaks() {
			leaking++
		}
	}
	parts := []string{count(len(d.Workers), "worker")}
	if len(d.Workers) == 0 {
		parts[0] = saysNoneSeen
	}
	switch untold := d.untold(); {
	case leaking > 0:
		parts = append(parts, fmt.Sprintf(saysLeaking, leaking))
	case untold > 0:
		parts = append(parts, saysNoneKnownToLeak, fmt.Sprintf(saysTooEarlyCount, untold))
	case len(d.Workers) > 0:
		parts = append(parts, saysNoneLeaking)
	}
	if d.Unseen > 0 {
		parts = append(parts, fmt.Sprintf(saysNotSeenCount, d.Unseen))
	}
	s := strings.Join(parts, ", ")
	if leaking > 0 {
		s = Notice(d.Findings[0], d.At, "") + " · " + s
	}
	return s
}

// closest names the worker that would run out first, all being well.
func (d Digest) closest() string {
	var best *WorkerLine
	for i, w := range d.Workers {
		e := w.Verdict.Exhaustion
		if e == nil || e.Expected.IsZero() {
			continue
		}
		if best == nil || e.Expected.Before(best.Verdict.Exhaustion.Expected) {
			best = &d.Workers[i]
		}
	}
	switch untold := d.untold(); {
	case len(d.Workers) == 0:
		return saysNoWorkerSeen
	case untold > 0 && best == nil:
		return fmt.Sprintf(saysTooEarly, untold, count(len(d.Workers), "worker"))
	case best == nil:
		return saysNothingGrows
	}
	return fmt.Sprintf(saysClosest, Code(best.Worker), Escape(best.Droplet), Left(best.Verdict.Exhaustion, d.At))
}

// Worker answers a question about one worker that need not leak.
func Worker(w WorkerLine, at time.Time) Message {
	v := w.Verdict
	headline := fmt.Sprintf(saysWorkerOn, w.Worker, w.Droplet, Reason(v.Reason))
	f := finding.Finding{Subject: finding.Subject{Kind: finding.KindLeak, Worker: w.Worker, DropletName: w.Droplet, DropletID: w.DropletID}, Verdict: v}
	blocks := append([]slack.Block{Header(headline), Fields(facts(f)...)}, Details(f)...)
	if v.HoursNeeded != nil {
		blocks = append(blocks, Context(fmt.Sprintf(saysHoursMore, *v.HoursNeeded)))
	}
	if left := Left(v.Exhaustion, at); left != "" {
		headline += fmt.Sprintf(saysRunsOutAt, left)
	}
	return laddered(headline, append(blocks, Buttons(nil, Press{Action: ActionOffer, Value: w.DropletID + "/" + w.Worker, Text: saysLabelOfferRestart})))
}

// Droplet answers a question about a droplet and its workers.
func Droplet(name string, v detector.DropletVerdict, workers []WorkerLine, at time.Time) Message {
	headline := fmt.Sprintf(saysDropletHas, Plain(name, 60), count(len(workers), "worker"))
	blocks := []slack.Block{Header(headline)}
	if len(v.Evidence) > 0 {
		blocks = append(blocks, Section(bullets(v.Evidence)))
	}
	var lines []string
	for _, w := range workers {
		line := fmt.Sprintf(saysWorkerHolds, Code(w.Worker), Bytes(w.Verdict.Footprint), Reason(w.Verdict.Reason))
		if left := Left(w.Verdict.Exhaustion, at); left != "" {
			line += fmt.Sprintf(saysThenRunsOutAt, left)
		}
		lines = append(lines, line)
	}
	if len(lines) > 0 {
		blocks = append(blocks, Section(strings.Join(lines, "\n")))
	}
	return laddered(headline, blocks)
}
