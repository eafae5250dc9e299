package chat

import (
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/restart"
)

// TestOnHandInWords: what runs, what waits, how old that is, and what becomes
// of it; and what is not known is called so, with the reason.
func TestOnHandInWords(t *testing.T) {
	at := noon.Add(-20 * time.Second)
	const back = " The broker gives out again what is reserved or held."
	const unseen = "What is cut off runs a second time if it is acknowledged late (`acks_late`), and is lost if not."
	for _, tt := range []struct {
		name    string
		hand    *remedy.OnHand
		timeout float64
		want    string // T stands for when it was told
	}{
		{"both kinds", &remedy.OnHand{At: at, Running: 3, Late: 2, Reserved: 8, ETA: 40}, 10,
			"3 tasks run, 8 reserved, 40 held for their ETA (told T, 20 s before this was asked). If cut off, 2 of the running acknowledge late and may run twice, and 1 is lost." + back},
		{"one late", &remedy.OnHand{At: at, Running: 1, Late: 1}, 10,
			"1 task runs, 0 reserved, 0 held for their ETA (told T, 20 s before this was asked). If cut off, 1 of the running may run twice: it acknowledges late."},
		{"none late", &remedy.OnHand{At: noon, Running: 2, ETA: 1}, 10,
			"2 tasks run, 0 reserved, 1 held for their ETA (told N). If cut off, 2 of the running are lost: they do not acknowledge late." + back},
		{"idle", &remedy.OnHand{At: at, Reserved: 1}, 10, "0 tasks run, 1 reserved, 0 held for their ETA (told T, 20 s before this was asked). None would be cut off now." + back},
		{"a manager that waits", &remedy.OnHand{At: at, Running: 3, Late: 2}, 0, "3 tasks run, 0 reserved, 0 held for their ETA (told T, 20 s before this was asked). None is cut off."},
		{"one of two tells", &remedy.OnHand{At: at, Running: 1, Silent: []string{"b`"}, Untold: []string{"c"}}, 0,
			"1 task runs, 0 reserved, 0 held for their ETA (told T, 20 s before this was asked). Of `c`, `b'` it is not known. None is cut off."},
		{"no probe", &remedy.OnHand{Untold: []string{"mail"}}, 10, "not known: the probe is not in this application. " + unseen},
		{"silent", &remedy.OnHand{Silent: []string{"mail"}}, -1, "not known: the probe has not told for a while; the worker may be too busy to. " + unseen},
		{"unread", nil, 0, "not known: that could not be read just now. None is cut off."},
	} {
		v := remedy.View{Asked: noon, Facts: order.Facts{StopTimeout: tt.timeout}, Card: remedy.Card{OnHand: tt.hand}, Plan: remedy.Plan{Way: restart.Systemd}}
		if got := strings.NewReplacer(report.Date(at), "T", report.Date(noon), "N").Replace(onHand(v)); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	reboot := remedy.View{Plan: remedy.Plan{Way: restart.Reboot}, Card: remedy.Card{OnHand: &remedy.OnHand{At: at, Running: 1, Late: 1}}}
	if got := fate(reboot, reboot.Card.OnHand); got != "If cut off, 1 of the running may run twice: it acknowledges late." {
		t.Errorf("a reboot cuts off: %s", got)
	}
	if got := atLast(&remedy.OnHand{At: at, Running: 3, Late: 1, ETA: 2}); got != " At the last look: 3 tasks run, 0 reserved, 2 held for their ETA; 1 of the running acknowledges late." {
		t.Error(got)
	}
	if got := atLast(&remedy.OnHand{Untold: []string{"mail"}}) + atLast(nil); got != "" {
		t.Errorf("what is not known is told: %s", got)
	}
}

// A report counts what a silent source told of among what is not seen.
func TestNotSeen(t *testing.T) {
	for kind, want := range map[finding.Kind]int{finding.KindSilent: 1, finding.KindSource: 12, finding.KindMissing: 2, finding.KindNoMetrics: 0, finding.KindLeak: 0} {
		f := finding.Finding{Subject: finding.Subject{Kind: kind}}
		if kind == finding.KindSource {
			f.Outage = &finding.Outage{Workers: 12, Droplets: 5}
		}
		if kind == finding.KindMissing {
			f.Missing = &finding.Missing{Workers: []string{"a", "b"}, Back: []string{"c"}}
		}
		if got := notSeen(f); got != want {
			t.Errorf("%s: %d not seen, want %d", kind, got, want)
		}
	}
}
