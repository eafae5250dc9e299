package bot

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

// TestWhatSlackIsToldIsLogged: each step of a run once, each change of a
// finding, and nothing for numbers that were only refreshed.
func TestWhatSlackIsToldIsLogged(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	var l logged
	v := remedy.View{Run: "r1", Finding: "f1", Plan: remedy.Plan{Droplet: "web-1", Worker: "mail"}, Step: "snapshot"}
	l.run(log, v)
	l.run(log, v)
	v.Step = "restart"
	l.run(log, v)
	v.Step, v.Outcome, v.Why, v.Ended = "verify", "freed_working", "Memory was freed.", time.Now()
	l.run(log, v)
	l.run(log, v)
	f := finding.Finding{ID: "f1", Severity: finding.High, Subject: finding.Subject{Kind: finding.KindLeak, DropletName: "web-1", Worker: "mail"},
		Verdict: detector.Verdict{Kind: detector.Leak}}
	l.finding(log, watch.Change{What: watch.Opened, Finding: f})
	l.finding(log, watch.Change{What: watch.Seen, Finding: f})
	l.finding(log, watch.Change{What: watch.Resolved, Finding: f})
	const want = `level=INFO msg=run run=r1 finding=f1 subject="mail on web-1" step=snapshot
level=INFO msg=run run=r1 finding=f1 subject="mail on web-1" step=restart
level=INFO msg=run run=r1 finding=f1 subject="mail on web-1" step=verify outcome=freed_working why="Memory was freed."
level=INFO msg=finding what=opened finding=f1 subject="mail on web-1" kind=leak severity=high verdict=leak
level=INFO msg=finding what=resolved finding=f1 subject="mail on web-1" kind=leak severity=high verdict=leak
`
	if out.String() != want {
		t.Errorf("the log says\n%swant\n%s", out.String(), want)
	}
}

// TestLoggedForgets: years of runs do not fill the memory.
func TestLoggedForgets(t *testing.T) {
	var l logged
	for i := range 3 * mostSaid {
		if !l.moved(remedy.View{Run: strings.Repeat("r", i%7) + time.Duration(i).String()}) {
			t.Fatalf("run %d is not said", i)
		}
	}
	if len(l.at) > mostSaid+1 {
		t.Errorf("%d runs are remembered", len(l.at))
	}
}
