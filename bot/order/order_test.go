package order

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func restartOrder() Order {
	return Order{Run: "r-1", Kind: Restart, Droplet: "42", Worker: "mail@web1",
		Unit: Unit{SupervisorProgram, "mail"}, Way: Supervisor, Phase: Whole,
		Expect: Fingerprint{PID: 100, Start: noon, BootID: "b"}, NotAfter: noon.Add(time.Minute)}
}

func TestOrderWire(t *testing.T) {
	want := []Order{restartOrder(), {Run: "r-1", Kind: Inspect, Droplet: "42", Worker: "w", NotAfter: noon}}
	body, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	const first = `{"run":"r-1","kind":"restart","droplet":"42","worker":"mail@web1","unit":{"kind":"supervisor","name":"mail"},` +
		`"way":"supervisor","phase":"whole","expect":{"pid":100,"start":"2026-11-22T12:00:00Z","boot_id":"b"},"not_after":"2026-11-22T12:01:00Z"}`
	if !strings.HasPrefix(string(body), "["+first) {
		t.Errorf("wire form %s\nwant it to start with %s", body, first)
	}
	got, err := ReadOrders(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("orders (-want +got):\n%s", d)
	}
	if got[0].Key() != "r-1" || got[1].Key() != "r-1.inspect" || ClaimPath(got[1].Key()) != "/agent/v1/orders/r-1.inspect/claim" {
		t.Errorf("keys %q %q", got[0].Key(), got[1].Key())
	}
}

func TestOrderValidate(t *testing.T) {
	tests := []struct {
		name   string
		break_ func(*Order)
		want   string
	}{
		{"good", func(*Order) {}, ""},
		{"run id with a path", func(o *Order) { o.Run = "../x" }, "run id"},
		{"no run", func(o *Order) { o.Run = "" }, "run id"},
		{"no droplet", func(o *Order) { o.Droplet = "" }, "no droplet"},
		{"no worker", func(o *Order) { o.Worker = "" }, "no worker"},
		{"no end", func(o *Order) { o.NotAfter = time.Time{} }, "not_after"},
		{"kind", func(o *Order) { o.Kind = "reboot" }, "kind"},
		{"phase", func(o *Order) { o.Phase = "stop" }, "phase"},
		{"way", func(o *Order) { o.Way = "ssh" }, "way"},
		{"way against unit", func(o *Order) { o.Way = Systemd }, "way systemd"},
		{"supervisor way for a systemd unit", func(o *Order) { o.Unit = Unit{SystemdUnit, "a.service"} }, "way supervisor"},
		{"no unit", func(o *Order) { o.Unit = Unit{} }, "no unit"},
		{"pattern for a unit", func(o *Order) { o.Unit.Name = "mail*" }, "pattern"},
		{"no fingerprint", func(o *Order) { o.Expect = Fingerprint{} }, "fingerprint"},
		{"no boot id", func(o *Order) { o.Expect.BootID = "" }, "fingerprint"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := restartOrder()
			tt.break_(&o)
			err := o.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseUnit(t *testing.T) {
	for s, want := range map[string]Unit{
		"systemd:celery@mail.service": {SystemdUnit, "celery@mail.service"},
		"supervisor:workers:mail_00":  {SupervisorProgram, "workers:mail_00"},
	} {
		if got, err := ParseUnit(s); err != nil || got != want || got.String() != s {
			t.Errorf("ParseUnit(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "mail.service", "systemd:", "systemd:mail", "docker:x", "systemd:../x.service", "supervisor:*"} {
		if u, err := ParseUnit(s); err == nil {
			t.Errorf("ParseUnit(%q) = %v, want an error", s, u)
		}
	}
}

func TestFingerprintSame(t *testing.T) {
	f := restartOrder().Expect
	g := f
	g.Start = g.Start.Add(1500 * time.Millisecond)
	if !f.Same(g) {
		t.Error("a start read 1.5 s off is another life")
	}
	for _, g := range []Fingerprint{{101, noon, "b"}, {100, noon.Add(3 * time.Second), "b"}, {100, noon, "c"}} {
		if f.Same(g) {
			t.Errorf("%v and %v are one life", f, g)
		}
	}
}

func TestResult(t *testing.T) {
	good := Result{Run: "r-1", Kind: Restart, State: Done, Old: Fingerprint{1, noon, "b"}, New: Fingerprint{2, noon, "b"},
		BootID: "b", Began: noon, Ended: noon.Add(time.Second)}
	body, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadResult(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(good, got); d != "" {
		t.Errorf("result (-want +got):\n%s", d)
	}
	for name, break_ := range map[string]func(*Result){
		"same life":               func(r *Result) { r.New = r.Old },
		"done without a new life": func(r *Result) { r.New = Fingerprint{} },
		"failed without words":    func(r *Result) { r.State = Failed },
		"refused without reason":  func(r *Result) { r.State, r.Error = Refused, "no" },
		"no facts":                func(r *Result) { r.Kind = Inspect },
		"no evidence":             func(r *Result) { r.Kind = Evidence },
		"state":                   func(r *Result) { r.State = "fine" },
		"endless words":           func(r *Result) { r.Error = strings.Repeat("x", 5000) },
	} {
		r := good
		break_(&r)
		if r.Validate() == nil {
			t.Errorf("%s went through", name)
		}
	}
}

func TestReadRefusesHugeBodies(t *testing.T) {
	if _, err := ReadOrders(strings.NewReader("[" + strings.Repeat(" ", MaxBody) + "]")); err == nil {
		t.Error("a body over the limit was read")
	}
}

func FuzzReadOrders(f *testing.F) {
	body, _ := json.Marshal([]Order{restartOrder()})
	f.Add(body)
	f.Add([]byte(`[{"run":"a","kind":"inspect"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := ReadOrders(bytes.NewReader(body))
		if err != nil {
			return
		}
		for _, o := range list {
			if err := o.Validate(); err != nil {
				t.Errorf("read an order that does not validate: %v", err)
			}
			if strings.ContainsAny(o.Key(), "/\\") {
				t.Errorf("key %q is no file name", o.Key())
			}
		}
	})
}

func FuzzReadResult(f *testing.F) {
	f.Add([]byte(`{"run":"a","kind":"restart","state":"failed","error":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := ReadResult(bytes.NewReader(body)); err == nil && r.State == "" {
			t.Error("a result without a state went through")
		}
	})
}
