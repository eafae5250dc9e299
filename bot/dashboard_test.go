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

// exposed puts a service together and returns it, and the names of the metrics
// that its page shows.
func exposed(t *testing.T) (*Service, map[string]bool) {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }))
	t.Cleanup(page.Close)
	s, _ := assembled(t, func(d *Deps) {
		d.Pulls = []Pull{{Type: "exporter", Name: "web-1-memory", URL: page.URL, Access: source.Access{}, Every: time.Minute, Droplet: "4711"}}
	})
	rec := httptest.NewRecorder()
	s.Metrics().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	names := map[string]bool{}
	for line := range strings.Lines(rec.Body.String()) {
		if name := metricNames.FindString(line); name != "" && !strings.HasPrefix(line, "#") {
			names[name] = true
		}
	}
	return s, names
}

// TestMetricsAreDocumented: the page about operating says of every metric of
// ours what to watch it for, and names none that there is not.
func TestMetricsAreDocumented(t *testing.T) {
	_, exposed := exposed(t)
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| metric | watch for |")
	table, _, _ = strings.Cut(table, "\n\n")
	told := map[string]bool{}
	for row := range strings.Lines(table) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		for _, name := range metricNames.FindAllString(cell, -1) {
			if told[name] = true; !exposed[name] {
				t.Errorf("docs/operations.md tells of %s, which is not on the metrics page", name)
			}
		}
	}
	for name := range exposed {
		if strings.HasPrefix(name, "dropleak_") && !told[name] {
			t.Errorf("docs/operations.md does not tell of %s", name)
		}
	}
}

// TestDashboard: every metric that the Grafana dashboard names is on the real
// service's metrics page, and every metric of ours there is on the dashboard.
func TestDashboard(t *testing.T) {
	s, exposed := exposed(t)
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
