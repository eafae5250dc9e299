package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
)

var update = flag.Bool("update", false, "write the golden files anew")

const mib = 1 << 20

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// mail is a leak that everything is known about.
func mail() finding.Finding {
	onset := noon.Add(-27 * time.Hour)
	return finding.Finding{ID: "f7k2", State: finding.Open, Severity: finding.High, Opened: noon.Add(-time.Hour), LastSeen: noon, Picture: "F0CHART001",
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "42", DropletName: "web-1", Worker: "mail"}, Share: 0.92,
		Verdict: detector.Verdict{Kind: detector.Leak, Reason: detector.ReasonLeakingParent, Confidence: 0.98, Metric: "pss+swap",
			Rate: &detector.Interval{Low: 40 * mib, Value: 44 * mib, High: 49 * mib}, Onset: &onset, Footprint: 1500 * mib,
			Exhaustion: &detector.Exhaustion{Limit: detector.Limit{Bytes: 2048 * mib, Source: "memory.max"},
				Earliest: noon.Add(11 * time.Hour), Expected: noon.Add(12*time.Hour + 27*time.Minute), Latest: noon.Add(14 * time.Hour)},
			Evidence:  []string{"It grew in 26 of 27 hours.", "The parent process holds 1.2 GiB of it.", "The load stayed level meanwhile."},
			Processes: []detector.ProcessVerdict{{PID: 100, Role: detector.RoleParent, Kind: detector.Leak, Reason: detector.ReasonLeakingParent, Rate: &detector.Interval{Value: 42 * mib}}, {PID: 101, Role: detector.RoleChild, Kind: detector.Healthy, Reason: detector.ReasonFlat}},
			Tasks:     []detector.TaskVerdict{{Task: "mail.render", Kind: detector.TaskLeak, BytesPerCall: detector.Interval{Low: 40 << 10, Value: 44 << 10, High: 51 << 10}}}},
		Droplet: &detector.DropletVerdict{Evidence: []string{"The droplet has 700 MiB left."}}}
}

func with(change func(*finding.Finding)) finding.Finding {
	f := mail()
	change(&f)
	return f
}

// other is a finding of a kind without a verdict.
func other(kind finding.Kind, worker, summary string) finding.Finding {
	f := finding.Finding{ID: "f9z9", State: finding.Open, Severity: finding.Low, Opened: noon, LastSeen: noon, Summary: summary,
		Subject: finding.Subject{Kind: kind, DropletID: "42", DropletName: "web-1", Worker: worker}}
	if kind == finding.KindSilent || kind == finding.KindNoMetrics {
		f.Began = noon.Add(-time.Hour)
	}
	return f
}

// source is a finding about a source that is silent.
func source(o finding.Outage) finding.Finding {
	return finding.Finding{ID: "f5s5", State: finding.Open, Severity: finding.High, Opened: noon, LastSeen: noon, Began: noon.Add(-time.Hour), Outage: &o,
		Subject: finding.Subject{Kind: finding.KindSource, Source: "prometheus-main"}}
}

// missing is a finding about workers of a droplet that went missing together.
func missing(m finding.Missing, change ...func(*finding.Finding)) finding.Finding {
	f := finding.Finding{ID: "f7m7", State: finding.Open, Severity: finding.High, Opened: noon, LastSeen: noon, Began: noon.Add(-time.Hour), Missing: &m,
		Subject: finding.Subject{Kind: finding.KindMissing, DropletID: "42", DropletName: "web-1"}}
	for _, c := range change {
		c(&f)
	}
	return f
}

// heard is a finding about silence that is heard of again.
func heard(f finding.Finding, change ...func(*finding.Finding)) finding.Finding {
	f.Heard = noon.Add(-40 * time.Minute)
	for _, c := range change {
		c(&f)
	}
	return f
}

func lines(n int) (out []WorkerLine) {
	for i := range n {
		out = append(out, WorkerLine{Droplet: fmt.Sprintf("web-%d", i%4+1), DropletID: "42", Worker: fmt.Sprintf("worker-%d", i),
			Verdict: detector.Verdict{Kind: detector.Healthy, Reason: detector.ReasonFlat, Footprint: 300 * mib}})
	}
	return out
}

// messages is every message of this package in every state it can have.
func messages() map[string]Message {
	all := map[string]Message{}
	for _, some := range []map[string]Message{findings(), silences(), reports(), advices(), answers()} {
		maps.Copy(all, some)
	}
	return all
}

// findings are those about what a worker does, in every state of their life.
func findings() map[string]Message {
	look := func(f finding.Finding) Message { return Finding(f, Look{At: noon, Picture: f.Picture}) }
	return map[string]Message{
		"finding-open":     look(mail()),
		"finding-critical": look(with(func(f *finding.Finding) { f.Severity, f.OOMKills = finding.Critical, 2 })),
		"finding-masked": look(with(func(f *finding.Finding) {
			f.Verdict.Kind, f.Verdict.Reason, f.Verdict.Exhaustion = detector.LeakMasked, detector.ReasonRecycled, nil
		})),
		"finding-acknowledged": look(with(func(f *finding.Finding) { f.State, f.By = finding.Acknowledged, "U0ANNA" })),
		"finding-muted":        look(with(func(f *finding.Finding) { f.State, f.By, f.MutedUntil = finding.Muted, "U0ANNA", noon.Add(4*time.Hour) })),
		"finding-muted-worse":  look(with(func(f *finding.Finding) { f.State, f.By, f.MuteWorse = finding.Muted, "U0ANNA", true })),
		"finding-resolved": look(with(func(f *finding.Finding) {
			f.State, f.Why, f.Share = finding.Resolved, "level for 12 h", 0
			f.Verdict = detector.Verdict{Kind: detector.Healthy, Reason: detector.ReasonFlat, Confidence: 0.97, Footprint: 310 * mib,
				Evidence: []string{"It has been level for 12 h."}}
			f.Picture = ""
		})),
		"finding-dismissed": look(with(func(f *finding.Finding) { f.State, f.By, f.Why = finding.Dismissed, "U0BEN", "a load test" })),
		"finding-gone": look(with(func(f *finding.Finding) {
			f.State, f.Why = finding.Gone, "the droplet left the fleet (it was destroyed or lost its tag)"
		})),
		"finding-older-chart": look(with(func(f *finding.Finding) { f.Drawn = noon.Add(-3 * time.Hour) })),
		"finding-no-run":      Finding(mail(), Look{At: noon, NoRun: "A restart of mail on web-1 was cancelled (2026-11-22T11:40:00Z)."}),
		"finding-story":       Finding(mail(), Look{At: noon, Picture: "F0CHART001", Story: "was restarted, 1.3 GiB freed", Before: "held 1.6 GiB, grew +44 MiB/h"}),
		"finding-unexplained": Finding(other(finding.KindUnexplained, "", "memory grows and no Celery worker explains it; the likeliest is postgres"), Look{At: noon}),
		"finding-threshold":   Finding(other(finding.KindThreshold, "mail", "it holds 482 MiB, at or over the threshold of 410 MiB that its configuration sets (it may use 512 MiB). This is a threshold and not a leak; the trend says: level"), Look{At: noon}),
		"finding-clone":       Finding(other(finding.KindClone, "", "a droplet made from its snapshot reports with its token; it is not believed"), Look{At: noon}),
	}
}

// silences are the findings about what is not heard of.
func silences() map[string]Message {
	return map[string]Message{
		"finding-silent-agent": Finding(other(finding.KindSilent, "", "the agent has not reported since 22 Nov 11:00 UTC; nothing is known of its workers"), Look{At: noon}),
		"finding-silent":       Finding(other(finding.KindSilent, "mail", "this worker was there and has not been seen since 22 Nov 11:55 UTC, while its agent still reports"), Look{At: noon}),
		"finding-silent-before": Finding(func() finding.Finding {
			f := other(finding.KindSilent, "", "the agent has not reported since 22 Nov 11:00 UTC; nothing is known of its workers")
			f.Began = time.Time{} // found by an earlier version
			return f
		}(), Look{At: noon}),
		"finding-no-metrics": Finding(other(finding.KindNoMetrics, "", "no memory from DigitalOcean since 22 Nov 11:00 UTC; is its metrics agent running?"), Look{At: noon}),
		"finding-no-source": Finding(func() finding.Finding {
			f := other(finding.KindNoMetrics, "mail", "nothing from the source prom<1> since 22 Nov 11:00 UTC; dropleak sources says how it stands")
			f.Source = "prom<1>"
			return f
		}(), Look{At: noon}),
		"finding-source-again": Finding(heard(other(finding.KindNoMetrics, "mail", "nothing came from the source prom<1> from 22 Nov 11:00 UTC to 22 Nov 11:20 UTC; it is heard of again"), func(f *finding.Finding) {
			f.Source = "prom<1>"
		}), Look{At: noon}),
		"finding-metrics-again": Finding(heard(other(finding.KindNoMetrics, "", "no memory came from DigitalOcean from 22 Nov 11:00 UTC to 22 Nov 11:20 UTC; it is heard of again, and this closes at 22 Nov 12:20 UTC if it stays so")), Look{At: noon}),
		"finding-heard-again": Finding(heard(other(finding.KindSilent, "mail", "this worker was not seen, while its agent reported, from 22 Nov 11:00 UTC to 22 Nov 11:20 UTC"), func(f *finding.Finding) {
			f.State, f.Why = finding.Resolved, "it is heard of again"
		}), Look{At: noon}),
		"finding-missing": Finding(missing(finding.Missing{Workers: []string{"beat", "mail<1>", "video"}}), Look{At: noon}),
		"finding-missing-off": Finding(missing(finding.Missing{Workers: strings.Fields("beat chat invoices mail news orders search thumbs video web"), Memory: true, Off: true}, func(f *finding.Finding) {
			f.Source = "sender/prom<1>"
		}), Look{At: noon}),
		"finding-missing-rest": Finding(missing(finding.Missing{Workers: []string{"mail"}, Back: []string{"beat", "video"}}, func(f *finding.Finding) { f.Source = "prometheus" }), Look{At: noon}),
		"finding-missing-back": Finding(heard(missing(finding.Missing{Back: []string{"beat", "mail", "video"}})), Look{At: noon}),
		"finding-missing-over": Finding(heard(missing(finding.Missing{Back: []string{"beat", "mail", "video"}}), func(f *finding.Finding) {
			f.State, f.Why = finding.Resolved, "it is heard of again"
		}), Look{At: noon}),
		"finding-source":         Finding(source(finding.Outage{Workers: 12, Droplets: 5, Trouble: "Get \"http://10.0.0.9:9090/api\": connection <refused>"}), Look{At: noon}),
		"finding-source-answers": Finding(source(finding.Outage{Droplets: 5, Answers: true}), Look{At: noon}),
		"finding-source-sender":  Finding(source(finding.Outage{Workers: 1, Droplets: 1, Sends: true}), Look{At: noon}),
		"finding-source-removed": Finding(source(finding.Outage{Workers: 3, Droplets: 2, Removed: true}), Look{At: noon}),
		"finding-source-never":   Finding(source(finding.Outage{Never: true, Trouble: "lookup prom: no such host"}), Look{At: noon}),
		"finding-source-back":    Finding(heard(source(finding.Outage{Workers: 12, Droplets: 5})), Look{At: noon}),
		"finding-source-over": Finding(heard(source(finding.Outage{Workers: 12, Droplets: 5}), func(f *finding.Finding) {
			f.State, f.Why = finding.Resolved, "it is heard of again"
		}), Look{At: noon}),
		"finding-source-details": {Text: "details", Blocks: Details(source(finding.Outage{Workers: 12, Droplets: 5}))},
	}
}

// reports are the scheduled ones.
func reports() map[string]Message {
	closest := lines(31)
	closest[7].Verdict.Exhaustion = &detector.Exhaustion{Earliest: noon.Add(8 * 24 * time.Hour), Expected: noon.Add(11 * 24 * time.Hour)}
	var many []finding.Finding
	for i := range 14 {
		many = append(many, with(func(f *finding.Finding) { f.ID, f.Subject.Worker = fmt.Sprint("f", i), fmt.Sprint("mail-", i) }))
	}
	return map[string]Message{
		"report-source": Report(Digest{At: noon, Scanned: true, Workers: lines(31), Unseen: 12, Findings: []finding.Finding{mail(), source(finding.Outage{Workers: 12, Droplets: 5})}}),
		"report-well":   Report(Digest{At: noon, Scanned: true, Workers: closest, Unseen: 2, Audit: "17 3f9a", Changes: []string{"mail on web-1: resolved: level for 12 h"}}),
		"report-calm":   Report(Digest{At: noon, Scanned: true, Workers: lines(3)}),
		"report-leaking": Report(Digest{At: noon, Scanned: true, Workers: lines(31), Findings: []finding.Finding{mail(), with(func(f *finding.Finding) {
			f.ID, f.State, f.By, f.MuteWorse = "f8", finding.Muted, "U0ANNA", true
			f.Subject.Worker = "web"
		})}, Pictures: map[string]string{"f7k2": "F0CHART001"}, Audit: "17 3f9a", Changes: []string{"mail on web-1: new"}}),
		"report-all":         Report(Digest{At: noon, Scanned: true, Workers: lines(31), All: true, Findings: append(many, with(func(f *finding.Finding) { f.State, f.By, f.MuteWorse = finding.Muted, "U0ANNA", true }))}),
		"report-nothing-new": Report(Digest{At: noon, Scanned: true, Since: noon.Add(-24 * time.Hour), Workers: lines(3)}),
		"report-since": Report(Digest{At: noon, Scanned: true, Since: noon.Add(-7 * 24 * time.Hour), Workers: lines(31), Findings: []finding.Finding{mail(),
			other(finding.KindSilent, "", "the agent has not reported since 22 Nov 11:00 UTC; nothing is known of its workers")}, Changes: []string{"mail on web-1: new", "web on web-2: dismissed: a <load> test"}}),
		"report-folding": Report(Digest{At: noon, Scanned: true, Workers: lines(31), Findings: many, Trouble: []string{"DigitalOcean has not answered for 20 min"}}),
		"report-incident": Report(Digest{At: noon, Scanned: true, Workers: lines(31), Findings: []finding.Finding{
			with(func(f *finding.Finding) { f.Incident = "f0" }), with(func(f *finding.Finding) { f.ID, f.Incident = "f1", "f0" }),
			with(func(f *finding.Finding) { f.ID, f.Incident = "f2", "f0" }), with(func(f *finding.Finding) { f.ID, f.Subject.Worker = "f3", "video" })}}),
		"report-young":     Report(Digest{At: noon, Scanned: true, Judged: noon.Add(-time.Minute), Workers: append(lines(2), young())}),
		"report-empty":     Report(Digest{At: noon, Scanned: true, Trouble: []string{"no droplet carries the tag dropleak: nothing is watched"}}),
		"report-unscanned": Report(Digest{At: noon}),
	}
}

// advices are what may be done about a worker.
func advices() map[string]Message {
	return map[string]Message{
		"advice": advice(Advise(advised())),
		"advice-gevent": advice(Advise(advised(func(c *Case) {
			c.Worker.Pool, c.Verdict.Tasks, c.Manager, c.Unit = detector.PoolGevent, nil, "supervisor", "celery:mail"
			c.Open = []Open{{PID: 100, Role: detector.RoleParent, All: 812, Files: 20, InSockets: 780}}
		}))),
		"advice-misfit":  advice(Advise(Case{Worker: pool(begins{rss: 600, pss: 520, parentRSS: 150, parentPSS: 120}, 8, 0), Total: 4096 * mib})),
		"advice-unknown": advice(Advise(Case{Verdict: detector.Verdict{Kind: detector.LeakMasked}})),
	}
}

// answers are those to questions about one worker or droplet.
func answers() map[string]Message {
	return map[string]Message{
		"worker-leaks":  Worker(WorkerLine{Droplet: "web-1", DropletID: "42", Worker: "mail", Verdict: mail().Verdict}, noon),
		"worker-unsure": Worker(young(), noon),
		"droplet":       Droplet("web-1", *mail().Droplet, append(lines(2), WorkerLine{Droplet: "web-1", Worker: "mail", Verdict: mail().Verdict}), noon),
	}
}

// young is a worker of whom it is too early to tell.
func young() WorkerLine {
	hours := 6.0
	return WorkerLine{Droplet: "web-1", DropletID: "42", Worker: "web", Verdict: detector.Verdict{Kind: detector.Unsure,
		Reason: detector.ReasonTooShort, Confidence: 0.4, Footprint: 310 * mib, HoursNeeded: &hours, Evidence: []string{"It has been watched for 2 h."}}}
}

func advice(a Advice) Message { return Message{Text: "Advice", Blocks: a.Blocks()} }

// TestGolden compares every message with the JSON that was looked at and
// found good.
func TestGolden(t *testing.T) {
	all := messages()
	for name, m := range messages() {
		for i, blocks := range m.Rungs { // what Slack may show in its place
			if strings.HasPrefix(name, "report-") {
				all[fmt.Sprint(name, "-rung", i+1)] = Message{Text: m.Text, Blocks: blocks}
			}
		}
	}
	for name, m := range all {
		got, err := json.MarshalIndent(map[string]any{"channel": "C0OPS", "text": m.Text, "blocks": m.Blocks}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		file := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from what was found good (%v); look at it, then go test -update:\n%s", name, err, got)
		}
	}
}

// TestSlackAccepts lets the published types and limits judge the golden files.
func TestSlackAccepts(t *testing.T) {
	dir := os.Getenv("DROPLEAK_SLACK_RENDER")
	if dir == "" {
		t.Skip("needs DROPLEAK_SLACK_RENDER")
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for i := range files {
		if files[i], err = filepath.Abs(files[i]); err != nil {
			t.Fatal(err)
		}
	}
	check := exec.CommandContext(t.Context(), "node", append([]string{"check.mjs"}, files...)...)
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestNotice: whatever the names are, 80 characters tell the worker, the time
// left and the ask.
func TestNotice(t *testing.T) {
	for name, f := range map[string]finding.Finding{
		"short": mail(),
		"long": with(func(f *finding.Finding) {
			f.Subject.Worker, f.Subject.DropletName = "a-worker-with-a-name-that-goes-on-and-on", "a-droplet-with-a-name-that-goes-on-and-on"
		}),
	} {
		s := []rune(Notice(f, noon, "Approve a restart?"))
		if len(s) > 80 {
			t.Errorf("%s: %d characters: %s", name, len(s), string(s))
		}
		if want := ": out of memory in 12 h. Approve a restart?"; !bytes.HasSuffix([]byte(string(s)), []byte(want)) {
			t.Errorf("%s: %s", name, string(s))
		}
	}
	if s := Notice(with(func(f *finding.Finding) { f.State = finding.Resolved }), noon, "Approve a restart?"); bytes.Contains([]byte(s), []byte("Approve")) {
		t.Errorf("a settled finding asks: %s", s)
	}
}
