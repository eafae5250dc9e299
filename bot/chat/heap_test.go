package chat

import (
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
)

func TestHeap(t *testing.T) {
	since := time.Date(2026, 11, 22, 14, 5, 0, 0, time.UTC)
	h := &order.Heap{PID: 812, Since: since, Parts: []order.HeapPart{
		{Name: "malloc", Rows: []order.HeapRow{{What: "bytes held back free", Count: 2 << 20}, {What: "arenas", Count: 1}}},
		{Name: "types", Rows: []order.HeapRow{{What: "shop.Invoice", Count: 9000, Grown: 4000}}},
		{Name: "atoms", Rows: []order.HeapRow{{What: "bytes", Count: 40 << 20, Grown: 20 << 20}}},
		{Name: "held", Rows: []order.HeapRow{{What: "list, global shop.cache (shop.py:7)", Count: 9000, Grown: 4000}}},
		{Name: "secret", Rows: []order.HeapRow{{What: "x"}}},
	}}
	got := heap(h)
	for _, want := range []string{"*Inside pid 812*, what grew since <!date^", "• Objects: `shop.Invoice` +4000 (9000)\n• Members", "`list, global shop.cache (shop.py:7)` +4000 (9000)",
		"`bytes` +20 MiB (40 MiB)", "held back free 2.0 MiB, arenas 1"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %q", got, want)
		}
	}
	if strings.Contains(got, "secret") {
		t.Errorf("a part nobody knows is shown: %s", got)
	}
	h.Parts[1].First, h.Parts[2].Since = true, since.Add(-time.Hour)
	if got := heap(h); !strings.Contains(got, "did not count them): `shop.Invoice` 9000\n") || !strings.Contains(got, "• Bytes in plain values (since <!date^") || !strings.Contains(got, "`bytes` +20 MiB") {
		t.Errorf("after a look that was cut short: %s", got)
	}
	h.Parts[1].First, h.Parts[2].Since = false, time.Time{}
	h.Since = time.Time{}
	if got := heap(h); !strings.Contains(got, "what grew was not seen") || !strings.Contains(got, "`shop.Invoice` 9000") || strings.Contains(got, "+") {
		t.Errorf("a first look: %s", got)
	}
	if got := heap(&order.Heap{PID: 5, Refused: "it holds 900 MiB <!channel>"}); got != "\n*Inside pid 5*: not looked at, for it holds 900 MiB &lt;!channel&gt;." {
		t.Errorf("refused: %q", got)
	}
	if heap(nil) != "" {
		t.Error("no probe has something to say")
	}
}

// TestHeapFits: the largest answer the agent takes stays within what Slack
// takes of one text.
func TestHeapFits(t *testing.T) {
	h := &order.Heap{PID: 1 << 22, Since: time.Now(), Notes: []string{strings.Repeat("n", 240), strings.Repeat("<", 240), strings.Repeat("n", 240)}}
	for _, p := range heapParts {
		part := order.HeapPart{Name: p.name}
		for range 15 {
			part.Rows = append(part.Rows, order.HeapRow{What: strings.Repeat("`<@U1>&", 34), Count: 1e15, Grown: 1e15})
		}
		h.Parts = append(h.Parts, part)
	}
	if got := heap(h); len([]rune(got)) > heapMost || strings.Contains(got, "<@") {
		t.Errorf("%d characters:\n%s", len([]rune(got)), got)
	}
}
