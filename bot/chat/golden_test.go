package chat

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/detector"
)

var update = flag.Bool("update", false, "write the golden files anew")

const mib = 1 << 20

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func mail() finding.Finding {
	onset := noon.Add(-27 * time.Hour)
	return finding.Finding{ID: "f7k2", State: finding.Open, Severity: finding.High, Opened: noon.Add(-time.Hour), LastSeen: noon, Picture: "F0CHART001",
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "42", DropletName: "web-1", Worker: "mail"},
		Verdict: detector.Verdict{Kind: detector.Leak, Reason: detector.ReasonLeakingParent, Confidence: 0.98, Metric: "pss+swap",
			Rate: &detector.Interval{Low: 40 * mib, Value: 44 * mib, High: 49 * mib}, Onset: &onset, Footprint: 1500 * mib,
			Exhaustion: &detector.Exhaustion{Limit: detector.Limit{Bytes: 2048 * mib, Source: "memory.max"},
				Earliest: noon.Add(11 * time.Hour), Expected: noon.Add(12*time.Hour + 27*time.Minute), Latest: noon.Add(14 * time.Hour)},
			Evidence: []string{"It grew in 26 of 27 hours.", "The parent process holds 1.2 GiB of it."}}}
}

// asked is a run whose question stands.
func asked() remedy.View {
	return remedy.View{Run: "r3x7", Finding: "f7k2", Asked: noon, Expires: noon.Add(24 * time.Hour), Exhausts: noon.Add(12 * time.Hour), Need: 1,
		Plan: remedy.Plan{DropletID: 42, Droplet: "web-1", Worker: "mail", Way: restart.Supervisor, Unit: order.Unit{Kind: order.SupervisorProgram, Name: "mail"}, Life: order.Fingerprint{PID: 100}},
		Facts: order.Facts{Workers: []string{"mail", "beat"}, StopTimeout: 10, KillMode: "process",
			Nodes: []order.Node{{Worker: "mail", App: "shop", Pool: "prefork", Processes: 4, Beat: true}, {Worker: "beat", App: "shop", Pool: "solo"}}},
		Card: remedy.Card{Snapshot: remedy.Estimate{Takes: 9 * time.Minute, GB: 11, Of: 2}, Newest: &remedy.Standing{Name: "before-upgrade", At: noon.Add(-50 * time.Hour)},
			Past:   []remedy.Past{{At: noon.Add(-31 * time.Hour), Outcome: remedy.FreedWorking, Freed: 1240 * mib, Helped: 28 * time.Hour}, {At: noon.Add(-90 * time.Hour), Outcome: remedy.NotFreed, Freed: 10 * mib}},
			OnHand: &remedy.OnHand{At: noon.Add(-20 * time.Second), Running: 3, Late: 2, Reserved: 8, ETA: 40}},
		Old: order.Fingerprint{PID: 100}, Before: remedy.Numbers{Bytes: 1500 * mib, Metric: "pss+swap", Processes: 4},
		Steps: stepsUpTo("ask", remedy.Doing),
		Buttons: []remedy.Button{{Kind: remedy.Approve}, {Kind: remedy.Skip, Reasons: remedy.DefaultSkipReasons}, {Kind: remedy.NotNow},
			{Kind: remedy.FalseAlarm}, {Kind: remedy.Grant}}}
}

// snapshotOnly is the question of somebody who wants a snapshot alone.
func snapshotOnly() remedy.View {
	return change(asked(), func(v *remedy.View) {
		v.Only, v.Purpose, v.AskedBy, v.Steps = true, "before profiling mail", "U0CARLA", v.Steps[:4]
		v.Plan.Way, v.Plan.Unit, v.Facts, v.Card.Past = "", order.Unit{}, order.Facts{}, nil
		v.Buttons = []remedy.Button{{Kind: remedy.Approve}, {Kind: remedy.Cancel}}
	})
}

// keptBy adds a lease that Anna granted until the morning.
func keptBy(v remedy.View, used int, end remedy.LeaseEnd, why string) remedy.View {
	v.Lease = &remedy.Lease{ID: "lease-r3x7", By: []remedy.Vote{{By: "U0ANNA", Kind: remedy.Grant, At: noon}}, Used: used, End: end, Why: why,
		Terms: remedy.Terms{Below: 30 * time.Minute, Until: noon.Add(20 * time.Hour), Most: 3}, Snapshot: v.Snapshot}
	v.Buttons = append(v.Buttons[:len(v.Buttons):len(v.Buttons)], remedy.Button{Kind: remedy.Revoke})
	if v.Outcome != remedy.Leased {
		v.ByLease = v.Lease.ID
	}
	if end != "" {
		v.Buttons = v.Buttons[:len(v.Buttons)-1]
	}
	return v
}

// leased is the question that a lease answered.
func leased() remedy.View {
	return change(asked(), func(v *remedy.View) {
		v.Outcome, v.Ended, v.Buttons, v.Why = remedy.Leased, noon.Add(time.Minute), nil, "restart when less than 30m is left"
		v.Settled = &remedy.Vote{By: "U0ANNA", Kind: remedy.Grant, At: noon}
	})
}

var titles = [][2]string{{"ask", "Approve"}, {"line", "Wait in line"}, {"evidence", "Save evidence"}, {"snapshot", "Snapshot the droplet"},
	{"recheck", "Look at the worker again"}, {"restart", "Restart"}, {"verify", "Verify"}}

// stepsUpTo is the list of steps at one of them; "" is behind the last.
func stepsUpTo(step string, state remedy.StepState) (out []remedy.StepView) {
	s := remedy.Did
	at := noon
	for _, t := range titles {
		v := remedy.StepView{Name: t[0], Title: t[1], State: s, Began: at, Ended: at.Add(2 * time.Minute)}
		at = at.Add(2 * time.Minute)
		if t[0] == "snapshot" {
			v.Expected = 9 * time.Minute
		}
		if t[0] == step {
			v.State, s = state, remedy.Ahead
			v.Ended = time.Time{}
		}
		if v.State == remedy.Ahead {
			v.Began, v.Ended = time.Time{}, time.Time{}
		}
		out = append(out, v)
	}
	return out
}

// under is an approved run at a step.
func under(step string) remedy.View {
	v := asked()
	v.Step, v.Steps = step, stepsUpTo(step, remedy.Doing)
	v.Votes = []remedy.Vote{{By: "U0ANNA", Kind: remedy.Approve, At: noon}}
	v.Settled, v.Buttons = &v.Votes[0], []remedy.Button{{Kind: remedy.Skip}, {Kind: remedy.Cancel}}
	v.SnapshotName = "dropleak-mail-r3x7"
	if step == "recheck" || step == "restart" || step == "verify" || step == "" {
		v.Snapshot = &remedy.Snapshot{ID: "9", Name: v.SnapshotName, SizeGB: 11.2, Done: noon.Add(9 * time.Minute)}
		v.Buttons = []remedy.Button{{Kind: remedy.Cancel}}
	}
	if step == "verify" || step == "" {
		v.Buttons, v.New = nil, order.Fingerprint{PID: 1100}
	}
	return v
}

// ended is a run that ended at a step.
func ended(o remedy.Outcome, step, why, state string) remedy.View {
	v := under(step)
	v.Outcome, v.Ended, v.Why, v.State, v.Buttons = o, noon.Add(14*time.Minute), why, state, nil
	if step != "" {
		v.Steps = stepsUpTo(step, remedy.Broke)
	}
	if v.Snapshot != nil {
		v.Buttons = []remedy.Button{{Kind: remedy.DeleteSnapshot}, {Kind: remedy.KeepSnapshot}}
	}
	if o.Restarted() && o != remedy.NotRunning {
		rate := 44.0 * mib
		v.Before.Rate = &rate
		v.Life = &remedy.Life{Pool: 4, Seen: true, Working: remedy.Advancing, Now: remedy.Numbers{Bytes: 210 * mib, Metric: "pss+swap"}, Tells: noon.Add(9 * time.Hour),
			Freed: &remedy.Freed{Metric: "pss+swap", Bytes: 1275 * mib, Low: 1240 * mib, High: 1310 * mib}}
		if o == remedy.NotFreed {
			v.Life.Now.Bytes, v.Life.Freed = 1490*mib, &remedy.Freed{Metric: "pss+swap", Bytes: 5 * mib, Low: -20 * mib, High: 30 * mib}
		}
	}
	return v
}

func change(v remedy.View, f func(*remedy.View)) remedy.View {
	f(&v)
	return v
}

// runs is a run in every state its message can show.
func runs() map[string]remedy.View {
	kept := "The snapshot dropleak-mail-r3x7 is kept. Nothing was restarted."
	return map[string]remedy.View{
		"card":          asked(),
		"snapshot-only": snapshotOnly(),
		"snapshot-only-taking": change(under("snapshot"), func(v *remedy.View) {
			v.Only, v.Buttons, v.Steps = true, []remedy.Button{{Kind: remedy.Cancel}}, v.Steps[:4]
		}),
		"end-snapshot-only": change(ended(remedy.FreedWorking, "", "", ""), func(v *remedy.View) {
			v.Only, v.Outcome, v.Life, v.New, v.Steps = true, remedy.Snapshotted, nil, order.Fingerprint{}, v.Steps[:4]
			v.Snapshot = &remedy.Snapshot{ID: "9", Name: v.SnapshotName, SizeGB: 11.2, Done: noon.Add(9 * time.Minute)}
		}),
		"card-too-late": change(asked(), func(v *remedy.View) { v.TooLate = true }),
		"card-too-late-quiet": change(asked(), func(v *remedy.View) {
			v.TooLate, v.Buttons = true, slices.Insert(v.Buttons, 1, remedy.Button{Kind: remedy.Later, At: noon.Add(10 * time.Hour)})
		}),
		"card-quiet": change(asked(), func(v *remedy.View) {
			v.Buttons = slices.Insert(v.Buttons, 1, remedy.Button{Kind: remedy.Later, At: noon.Add(10 * time.Hour)})
		}),
		"waiting": change(under("ask"), func(v *remedy.View) {
			v.Votes[0].Kind, v.Opens = remedy.Later, noon.Add(10*time.Hour)
			v.Steps[0].Note = "approved, waiting for 2026-11-22T22:00:00Z"
		}),
		"waiting-too-late": change(under("ask"), func(v *remedy.View) {
			v.Votes[0].Kind, v.Opens, v.TooLate = remedy.Later, noon.Add(13*time.Hour), true
			v.Buttons = []remedy.Button{{Kind: remedy.Skip, Reasons: remedy.DefaultSkipReasons}, {Kind: remedy.Cancel}}
		}),
		"snapshot-too-late": change(under("snapshot"), func(v *remedy.View) { v.TooLate = true }),
		"card-quorum": change(asked(), func(v *remedy.View) {
			v.Have, v.Need, v.Votes, v.AskedBy = 1, 2, []remedy.Vote{{By: "U0ANNA", Kind: remedy.Approve}}, "U0CARLA"
		}),
		"card-unknown": change(asked(), func(v *remedy.View) {
			v.Card, v.Facts = remedy.Card{OnHand: &remedy.OnHand{Untold: []string{"mail"}}}, order.Facts{Workers: []string{"mail"}, StopTimeout: -1}
		}),
		"card-reboot":      change(asked(), func(v *remedy.View) { v.Plan.Way = restart.Reboot }),
		"card-rehearsal":   change(asked(), func(v *remedy.View) { v.Rehearsal = true }),
		"line":             change(under("line"), func(v *remedy.View) { v.Ahead = []string{"r1"} }),
		"evidence":         under("evidence"),
		"snapshot":         under("snapshot"),
		"snapshot-trouble": change(under("snapshot"), func(v *remedy.View) { v.Trouble = "asking for the action: 503" }),
		"recheck":          under("recheck"),
		"restart":          change(under("restart"), func(v *remedy.View) { v.Buttons = nil }),
		"verify":           under("verify"),
		"skipped": change(under("evidence"), func(v *remedy.View) {
			v.Skip = &v.Votes[0]
			v.Steps[3].State, v.Steps[3].Note = remedy.Skipped, "The droplet holds no state"
		}),
		"end-freed": ended(remedy.FreedWorking, "", "memory was freed and the worker is working", ""),
		"end-not-seen": change(ended(remedy.FreedNotSeenWorking, "", "memory was freed; the worker runs but was not seen working", ""), func(v *remedy.View) {
			v.Life.Freed = nil // a run of before that was kept
		}),
		"end-not-freed": ended(remedy.NotFreed, "verify", "the new process holds as much memory as the old one did", ""),
		"end-lasted": change(ended(remedy.FreedWorking, "", lasting, ""), func(v *remedy.View) {
			v.Left, v.Buttons = &remedy.Vote{By: "U0ANNA", Kind: remedy.KeepSnapshot}, v.Buttons[:1]
		}),
		"end-relapsed": change(ended(remedy.FreedWorking, "", "memory was freed and the worker is working", ""), func(v *remedy.View) {
			v.Relapse = &remedy.Relapse{At: noon.Add(7 * time.Hour), Rate: 41 * mib, Exhaust: noon.Add(40 * time.Hour), Helped: 24000}
			v.Left, v.Buttons = &remedy.Vote{By: "U0ANNA", Kind: remedy.KeepSnapshot}, v.Buttons[:1]
		}),
		"end-deleted": change(ended(remedy.FreedNotSeenWorking, "", "", ""), func(v *remedy.View) {
			v.Life.Working, v.Disposal, v.Left, v.Buttons = remedy.Idle, "deleted", &remedy.Vote{By: "U0ANNA", Kind: remedy.DeleteSnapshot}, nil
		}),
		"lease":      keptBy(leased(), 0, "", ""),
		"lease-run":  keptBy(under("restart"), 2, "", ""),
		"lease-over": keptBy(leased(), 1, remedy.LeaseOver, ""),
		"lease-failed": keptBy(ended(remedy.NotFreed, "verify", "the new process holds as much memory as the old one did", ""), 1,
			remedy.LeaseFailed, "the last restart ended: restarted, memory not freed"),
		"end-bad":       ended(remedy.CameBackBad, "verify", "its pool has 2 processes, had 4", ""),
		"end-rehearsed": change(ended(remedy.Rehearsed, "", "", "Nothing was carried out."), func(v *remedy.View) { v.Rehearsal, v.New, v.Snapshot = true, order.Fingerprint{}, nil }),
		"end-not-now": change(asked(), func(v *remedy.View) {
			v.Outcome, v.Settled, v.Buttons = remedy.Declined, &remedy.Vote{By: "U0ANNA", Kind: remedy.NotNow, At: noon}, nil
		}),
		"end-cancelled": ended(remedy.Cancelled, "snapshot", "cancelled by a person", kept),
		"end-expired":   change(asked(), func(v *remedy.View) { v.Outcome, v.Buttons = remedy.TimedOut, nil }),
		"end-overtaken": ended(remedy.Overtaken, "recheck", "the worker's main process is another: pid 140 since 2026-11-22T12:05:03Z, was pid 100 since 2026-11-22T08:00:00Z", kept),
		"end-failed":    ended(remedy.Failed, "snapshot", "the snapshot ended as errored", "The droplet runs as before. Nothing was restarted."),
		"end-unknown":   ended(remedy.Unclear, "restart", "no result of the restart has arrived", "It ran with another main process, pid 140, when last looked at (2026-11-22T12:14:07Z). Look whether it works."),
		"end-down":      ended(remedy.NotRunning, "verify", "the worker has no main process in the last 3 readings", "Start it on web-1: supervisorctl start mail."),
	}
}

// lasting marks the run whose worker was seen not to grow in its new life.
const lasting = "memory was freed and the worker is working, and it lasted"

// stateFor is what the remedy makes of the finding meanwhile.
func stateFor(v remedy.View) finding.Finding {
	f := mail()
	switch {
	case v.Relapse != nil:
		f.LastSeen = v.Relapse.At // the sight of it is what told of the relapse
	case v.Outcome == remedy.Declined:
		f.State, f.By, f.MutedUntil = finding.Muted, "U0ANNA", noon.Add(quiet)
	case v.Why == lasting:
		least := 2.5 * mib
		f.State, f.Closed, f.LastSeen, f.Why = finding.Resolved, noon.Add(11*time.Hour), noon, "It has been level for 11 h."
		f.Verdict = detector.Verdict{Kind: detector.Healthy, Reason: detector.ReasonFlat, Confidence: 0.93, MinDetectable: &least, Footprint: 215 * mib, Evidence: []string{"It has been level for 11 h."}}
	case v.Outcome == remedy.Leased:
		f.State, f.By = finding.Acknowledged, "U0ANNA"
	case v.Outcome == "" && v.Settled != nil:
		f.State = finding.InHand
	}
	return f
}

// request is what carries a run about a worker that does not leak.
func request(v remedy.View) finding.Finding {
	f := mail()
	f.Subject.Kind, f.State, f.By, f.Severity, f.Picture, f.Share, f.RunID = finding.KindRequest, finding.Acknowledged, "U0CARLA", finding.Low, "", 0, v.Run
	f.Verdict = detector.Verdict{Kind: detector.Healthy, Reason: detector.ReasonFlat, Confidence: 0.93, Footprint: 215 * mib, Evidence: []string{"It has been level for 11 h."}}
	if v.Outcome != "" {
		f.State, f.Why, f.Closed = finding.Resolved, v.Outcome.Words(), v.Ended
	}
	return f
}

func golden() map[string]any {
	out := map[string]any{}
	for name, v := range runs() {
		f := stateFor(v)
		m := report.Finding(f, shown(report.Look{At: noon, Picture: f.Picture}, f, v, noon.Add(11*time.Minute)))
		out["run-"+name] = map[string]any{"channel": "C0OPS", "text": m.Text, "blocks": m.Blocks}
	}
	for name, v := range map[string]remedy.View{"asked": asked(), "not-now": runs()["end-not-now"], "down": runs()["end-down"]} {
		f := request(v)
		m := report.Finding(f, shown(report.Look{At: noon}, f, v, noon.Add(11*time.Minute)))
		out["request-"+name] = map[string]any{"channel": "C0OPS", "text": m.Text, "blocks": m.Blocks}
	}
	for name, s := range pages() {
		out["home-"+name] = homeView(s.blocks()...)
	}
	for name, m := range incidents() {
		out["incident-"+name] = map[string]any{"channel": "C0OPS", "text": m.Text, "blocks": m.Blocks}
	}
	out["help"] = map[string]any{"text": "How to talk to dropleak", "blocks": helpBlocks()}
	for name, m := range answers() {
		out["answer-"+name] = map[string]any{"text": m.Text, "blocks": m.Blocks}
	}
	f := stateFor(asked())
	question := report.Finding(f, shown(report.Look{At: noon, Picture: f.Picture}, f, asked(), noon))
	out["modal-review"] = reviewModal(f, question.Blocks, "", "C0OPS")
	out["modal-review-refused"] = reviewModal(f, question.Blocks, ":no_entry: You are not among the configured approvers.", "C0OPS")
	out["modal-review-incident"] = reviewModal(struck(3)[0], incidents()["question"].Blocks, "", "C0OPS")
	out["modal-skip"] = skipModal(asked(), remedy.DefaultSkipReasons)
	out["modal-skip-no-reasons"] = skipModal(asked(), nil)
	out["modal-until"] = untilModal(mail(), noon.Add(quiet))
	out["modal-restore"] = restoreModal(ended(remedy.FreedWorking, "", "", ""), noon.Add(5*time.Hour))
	out["modal-lease"] = leaseModal(asked(), noon.Add(20*time.Hour))
	out["modal-details"] = detailsModal(mail(), advising(mail()))
	return out
}

// TestGolden compares every message with the JSON that was looked at and
// found good.
func TestGolden(t *testing.T) {
	for name, m := range golden() {
		got, err := json.MarshalIndent(m, "", "  ")
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

// TestKillingSpeaksOfAPool: nothing is said of pool processes where there are
// none to stay behind.
func TestKillingSpeaksOfAPool(t *testing.T) {
	for mode, words := range map[string]string{"process": "stay behind", "control-group": "pool processes too"} {
		v := asked()
		v.Facts.KillMode = mode
		if got := stopping(v); !strings.Contains(got, words) {
			t.Errorf("%s of a pool: %q", mode, got)
		}
		v.Facts.Nodes = []order.Node{{Worker: "mail", App: "shop", Pool: "solo"}}
		if got := stopping(v); got != "get 10 s to finish, then are killed" {
			t.Errorf("%s of one process: %q", mode, got)
		}
		v.Facts.Nodes = nil // an agent of before tells no nodes
		if got := stopping(v); !strings.Contains(got, words) {
			t.Errorf("%s of nobody knows what: %q", mode, got)
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

// TestNoButtonIsALink: a link can be followed by a preview or a browser's
// guess; whatever decides something is pressed, and comes signed.
func TestNoButtonIsALink(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	buttons := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var message any
		if err := json.Unmarshal(raw, &message); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var walk func(any)
		walk = func(x any) {
			switch x := x.(type) {
			case []any:
				for _, y := range x {
					walk(y)
				}
			case map[string]any:
				if x["type"] == "button" {
					buttons++
					if x["url"] != nil {
						t.Errorf("%s: the button %v is a link", file, x["action_id"])
					}
				}
				for _, y := range x {
					walk(y)
				}
			}
		}
		walk(message)
	}
	if buttons < 50 {
		t.Errorf("only %d buttons were looked at", buttons)
	}
}
