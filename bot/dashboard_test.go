package bot

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/source"
)

// metricNames are words of an expression that are no function, keyword or
// label.
var metricNames = regexp.MustCompile(`\b(dropleak|go|process)_[a-z_]+\b`)

// TestDashboard: every metric that the Grafana dashboard names is on the real
// service's metrics page, and every metric of ours there is on the dashboard.
func TestDashboard(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }))
	defer page.Close()
	s, _ := assembled(t, func(d *Deps) {
		d.Pulls = []Pull{{Type: "exporter", Name: "web-1-memory", URL: page.URL, Access: source.Access{}, Every: time.Minute, Droplet: "4711"}}
	})
	rec := httptest.NewRecorder()
	s.Metrics().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	exposed := map[string]bool{}
	for line := range strings.Lines(rec.Body.String()) {
		if name := metricNames.FindString(line); name != "" && !strings.HasPrefix(line, "#") {
			exposed[name] = true
		}
	}
	text, err := os.ReadFile("../configs/grafana/dropleak.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			names := metricNames.FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%q names no metric", target.Expr)
			}
			for _, name := range names {
				if shown[name] = true; !exposed[name] {
					t.Errorf("%s is not on the metrics page", name)
				}
			}
		}
	}
	for name := range exposed {
		if strings.HasPrefix(name, "dropleak_") && !shown[name] {
			t.Errorf("%s is on no panel", name)
		}
	}
	if home := s.pulled(); len(home) != 1 || home[0] != "web-1-memory: every 60 s, no sample yet, nothing missing" {
		t.Errorf("the App Home says %q", home)
	}
}
