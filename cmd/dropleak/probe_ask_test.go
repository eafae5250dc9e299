package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/order"
)

// TestPrintHeap: the growth and what it is of, on standard output; the rest is
// talk; a refusal exits with 1.
func TestPrintHeap(t *testing.T) {
	var out, talk bytes.Buffer
	h := &order.Heap{PID: 7, Since: time.Unix(1, 0), Notes: []string{"cut\x1b[31m short"}, Parts: []order.HeapPart{{Name: "types",
		Rows: []order.HeapRow{{What: "shop.Invoice", Count: 900, Grown: 400}}}}}
	if err := printHeap(streams{out: &out, talk: &talk}, h); err != nil || !strings.Contains(out.String(), "types  +400   900  shop.Invoice\n") ||
		strings.Contains(talk.String(), "\x1b") || !strings.Contains(talk.String(), "growth of pid 7 since") {
		t.Errorf("%v\n%s\n%s", err, &out, &talk)
	}
	h.Parts[0].First = true
	if err := printHeap(streams{out: &out, talk: &talk}, h); err != nil || !strings.Contains(out.String(), "types  -      900  shop.Invoice\n") || !strings.Contains(talk.String(), "types was not counted before") {
		t.Errorf("counted for the first time: %v\n%s\n%s", err, &out, &talk)
	}
	var code exitError
	h = &order.Heap{PID: 7, Refused: "no room"}
	if err := printHeap(streams{out: &out, talk: &talk}, h); fmt.Sprint(errors.As(err, &code), code.code) != "true 1" || !strings.Contains(err.Error(), "no room") {
		t.Errorf("refused: %v", err)
	}
}

// TestProbeAsk: a worker nobody spoke of is a usage error; one that was is
// asked by an order, whose answer is printed.
func TestProbeAsk(t *testing.T) {
	o := newOffice(t, "approvals: {approvers: [U0ANNA]}\n")
	o.do(2, "probe", "ask", "nobody")
	o.hears("no agent has spoken of a worker")
	now := time.Now()
	for _, id := range []string{"4711", "4712"} {
		push := history.Push{Droplet: id, At: now.UnixMilli(), First: now.UnixMilli(), Last: now.UnixMilli(), Presence: []history.Presence{{DropletID: id, Worker: "mail", Last: now}}}
		if err := o.store.AppendPushes(t.Context(), []history.Push{push}); err != nil {
			t.Fatal(err)
		}
	}
	o.do(2, "probe", "ask", "mail")
	o.hears("4711/mail")
	o.evidence = &order.Findings{}
	o.do(1, "probe", "ask", "4711/mail")
	o.hears("dropleak probe print")
	o.evidence = &order.Findings{Heap: &order.Heap{PID: 7, Parts: []order.HeapPart{{Name: "types", Rows: []order.HeapRow{{What: "shop.Invoice", Count: 900}}}}}}
	o.do(0, "probe", "ask", "4711/mail", "--json")
	if !strings.Contains(o.printed, `"what": "shop.Invoice"`) {
		t.Error(o.printed)
	}
}
