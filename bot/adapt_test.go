package bot

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// TestNobodyIsAskedOfWhatIsOver: a worker whose droplet left comes without
// anything to draw, and its question ends all the same; what is only told
// again, and live, leaves it alone.
func TestNobodyIsAskedOfWhatIsOver(t *testing.T) {
	s, st := assembled(t)
	data, err := json.Marshal(map[string]any{"run": "r1", "finding": "f1", "asked": time.Now(), "expires": time.Now().Add(time.Hour),
		"plan": remedy.Plan{DropletID: 4711, Droplet: "web-1", Worker: "mail"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.CreateRun(t.Context(), workflow.Run{ID: "r1", Recipe: remedy.Recipe, Key: "4711/mail", Step: "ask", Data: data}); err != nil {
		t.Fatal(err)
	}
	f := finding.Finding{ID: "f1", Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "4711", DropletName: "web-1", Worker: "mail"}}
	for _, c := range []struct {
		state finding.State
		ends  bool
	}{{finding.Open, false}, {finding.Gone, true}} {
		f.State = c.state
		if err := s.findingChanged(t.Context(), watch.Change{What: watch.Left, Finding: f}); err != nil {
			t.Fatal(err)
		}
		r, err := st.Run(t.Context(), "r1")
		if err != nil || strings.Contains(string(r.Gate), `"settled":{"by":"dropleak","kind":"cancel"`) != c.ends {
			t.Errorf("%s: the gate is %s; %v", c.state, r.Gate, err)
		}
	}
}

// TestADropletIsOff: the watch knows what DigitalOcean says of a droplet.
func TestADropletIsOff(t *testing.T) {
	cloud := dosim.New(dosim.Options{}).Kind()
	cloud.AddToken("dop_v1_reader", dosim.ReaderScopes...)
	cloud.AddDroplet(dosim.Droplet{ID: 1, Name: "web-1", Tags: []string{"dropleak"}, Off: true})
	cloud.AddDroplet(dosim.Droplet{ID: 2, Name: "web-2", Tags: []string{"dropleak"}})
	reader, err := doclient.NewReader(doclient.Options{Token: doclient.StaticToken("dop_v1_reader"), Transport: cloud.Transport(),
		Pace: doclient.Pace{PerSecond: 1000, Burst: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := assembled(t, func(d *Deps) { d.Reader = reader })
	f, err := s.fleet(t.Context())
	if err != nil || len(f.Droplets) != 2 {
		t.Fatalf("%+v, %v", f, err)
	}
	for _, d := range f.Droplets {
		if d.Off != (d.Name == "web-1") {
			t.Errorf("%s is off: %t", d.Name, d.Off)
		}
	}
}

// TestCloneNamesItsDroplet: whoever reads of a clone sees which droplet it is of.
func TestCloneNamesItsDroplet(t *testing.T) {
	s, st := assembled(t)
	s.clone(t.Context(), hub.Clone{Token: hub.Token{Name: "web", Droplet: "4711"}, Why: "it is used on another machine"})
	key := finding.Subject{Kind: finding.KindClone, DropletID: "4711"}.Key()
	testbed.Eventually(t, testbed.Patience, func() error {
		f, err := st.LiveFinding(t.Context(), key)
		if err == nil && f.Subject.Title() != "web-1" {
			t.Fatalf("titled %q", f.Subject.Title())
		}
		return err
	})
}
