package hub

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
	"github.com/google/go-cmp/cmp"
	writev2 "github.com/prometheus/client_golang/exp/api/remote/genproto/v2"
)

// TestDecodeV2 reads what the reference library writes.
func TestDecodeV2(t *testing.T) {
	table := writev2.NewSymbolTable()
	req := &writev2.Request{Timeseries: []*writev2.TimeSeries{{
		LabelsRefs: table.SymbolizeLabels([]string{"__name__", "up", "droplet", "42"}, nil),
		Samples:    []*writev2.Sample{{Value: 1.5, Timestamp: 7}, {Value: 0, Timestamp: -8}},
		Metadata:   &writev2.Metadata{HelpRef: table.Symbolize("help")},
		Exemplars:  []*writev2.Exemplar{{Value: 3}},
	}}}
	req.Symbols = table.Symbols()
	b, err := req.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(protoV2, b, 1<<20)
	want := []sample.Series{{
		Labels: []sample.Label{{Name: "__name__", Value: "up"}, {Name: "droplet", Value: "42"}},
		Points: []sample.Point{{At: 7, V: 1.5}, {At: -8}},
	}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

// FuzzDecode: foreign bytes give series or a refusal, never a panic.
func FuzzDecode(f *testing.F) {
	f.Add(true, []byte{0x0a, 0x04, 0x0a, 0x02, 0x0a, 0x00})
	f.Add(false, []byte{0x22, 0x00, 0x2a, 0x04, 0x0a, 0x02, 0x00, 0x00})
	f.Fuzz(func(t *testing.T, first bool, b []byte) {
		msg := protoV2
		if first {
			msg = protoV1
		}
		var no *refusal
		if _, err := decode(msg, b, 1<<20); err != nil && (!errors.As(err, &no) || no.status != http.StatusBadRequest) {
			t.Fatalf("%v is no refusal", err)
		}
		if _, err := uncompress(b, 1<<20); err != nil && !errors.As(err, &no) {
			t.Fatalf("%v is no refusal", err)
		}
	})
}

// TestAdmit is the table of who may use an agent's token.
func TestAdmit(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	booted := now.Add(-time.Hour)
	tok := Token{Droplet: "42", Seen: Seen{At: now.Add(-30 * time.Second)},
		Bound: Identity{Machine: "m", Boot: "b2", Booted: booted, Boots: []string{"b1"}}}
	away := tok
	away.Seen.At = now.Add(-time.Hour)
	for _, c := range []struct {
		name    string
		tok     Token
		droplet string
		is      Identity
		clone   bool
		boot    string // bound afterwards
	}{
		{"first use", Token{Droplet: "42"}, "42", Identity{Machine: "m", Boot: "b"}, false, "b"},
		{"says nothing, nothing bound", Token{Droplet: "42"}, "", Identity{}, false, ""},
		{"says nothing any more", tok, "", Identity{}, true, ""},
		{"the same", tok, "42", Identity{Machine: "m", Boot: "b2"}, false, "b2"},
		{"without metadata", tok, "", Identity{Machine: "m", Boot: "b2"}, false, "b2"},
		{"another droplet", tok, "43", Identity{Machine: "m", Boot: "b2"}, true, ""},
		{"another machine", tok, "42", Identity{Machine: "n", Boot: "b2"}, true, ""},
		{"an earlier boot", tok, "42", Identity{Machine: "m", Boot: "b1"}, true, ""},
		{"booted anew", tok, "42", Identity{Machine: "m", Boot: "b3", Booted: now.Add(-10 * time.Second)}, false, "b3"},
		{"booted while the first sent", tok, "42", Identity{Machine: "m", Boot: "b3", Booted: now.Add(-5 * time.Minute)}, true, ""},
		{"spooled before the reboot", tok, "42", Identity{Machine: "m", Boot: "b3", Booted: booted.Add(time.Second)}, false, "b3"},
		{"after we were away", away, "42", Identity{Machine: "m", Boot: "b3", Booted: now.Add(-90 * time.Minute)}, false, "b3"},
	} {
		bound, why := c.tok.admit(c.droplet, c.is, now)
		if (why != "") != c.clone || !c.clone && bound.Boot != c.boot {
			t.Errorf("%s: %+v, %q", c.name, bound, why)
		}
		if c.clone && c.is.Machine == "" && !strings.Contains(why, "does not say on which machine") {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}
