package chat_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/report"
)

// TestHeapInThread carries what the probe says of a process, as an agent sends
// it, through an approved run into the finding's thread: the type that leaks
// stands there, nothing in it is markup, and Slack takes it whole.
func TestHeapInThread(t *testing.T) {
	hostile := []string{"<!channel>", "<@U0BEN|boss>", "<https://evil.test|x>", "a`b*c_d~", "&lt;!here&gt;", "ma\u202eli\u200b\x07\n> x", strings.Repeat("<&>", 80)}
	bubble(t, func(t *testing.T, d *desk) {
		d.far.inside = sent(t, hostile)
		f, m := d.opened("mail")
		d.press(anna, f.ID, report.ActionRestart)
		d.rest(time.Hour)
		var said []string
		for _, reply := range d.sim.Thread(ops, m.TS) {
			if strings.Contains(reply.Text, "*Inside pid") {
				said = append(said, reply.Text)
				wantText(t, "its blocks", strings.TrimPrefix(reply.PlainText(), reply.Text), "`shop.Invoice` +4000 (9000)")
			}
		}
		if len(said) != 1 {
			t.Fatalf("%d replies say what grew: %q", len(said), said)
		}
		wantText(t, "the thread", said[0], "*Inside pid 812*, what grew since", "`shop.Invoice` +4000 (9000)", "&lt;!channel&gt;")
		_, inside, _ := strings.Cut(said[0], "\n*Inside")
		if n := utf8.RuneCountInString(inside); n > 2000 {
			t.Errorf("%d characters of a heap", n)
		}
		checkWritten(t, d.sim)
	})
}

// sent is a heap of all parts at the agent's bounds, read as the service reads
// it.
func sent(t *testing.T, names []string) *order.Heap {
	t.Helper()
	h := &order.Heap{PID: 812, Since: time.Now().Add(-time.Hour), Notes: names}
	for _, part := range []string{"types", "held", "cycles", "files", "atoms", "lines", "guppy", "chain", "malloc"} {
		p := order.HeapPart{Name: part, Rows: []order.HeapRow{{What: "shop.Invoice", Count: 9000, Grown: 4000}}}
		for _, name := range names {
			p.Rows = append(p.Rows, order.HeapRow{What: name, Count: 1e15, Grown: 1e15})
		}
		h.Parts = append(h.Parts, p)
	}
	now := time.Now()
	body, err := json.Marshal(order.Result{Run: "r1", Kind: order.Evidence, State: order.Done, Began: now, Ended: now, BootID: "boot-1", Evidence: &order.Findings{At: now, Heap: h}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := order.ReadResult(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(fmt.Errorf("the service does not take it: %w", err))
	}
	return got.Evidence.Heap
}
