package dosim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestPaging(t *testing.T) {
	r := newRig(t, Options{})
	r.RemoveDroplet(42)
	for i := range 45 {
		r.AddDroplet(Droplet{ID: i + 1, Tags: []string{"celery"}})
	}
	tests := []struct {
		query string
		n     int
		links string
	}{
		{"", 20, "last:3 next:2"},
		{"?page=2", 20, "first:1 last:3 next:3 prev:1"},
		{"?page=3", 5, "first:1 prev:2"},
		{"?page=4", 0, "first:1 prev:3"},
		{"?per_page=200", 45, ""},
		{"?per_page=45", 45, ""},
		{"?per_page=44&tag_name=celery", 44, "last:2 next:2"},
		{"?tag_name=none", 0, ""},
	}
	for _, tt := range tests {
		doc := r.want(200, "GET", "/v2/droplets"+tt.query, "")
		if n := len(doc["droplets"].([]any)); n != tt.n {
			t.Errorf("%q: %d droplets, want %d", tt.query, n, tt.n)
		}
		var links []string
		pages, _ := doc["links"].(map[string]any)["pages"].(map[string]any)
		for _, rel := range []string{"first", "last", "next", "prev"} {
			if href, ok := pages[rel].(string); ok {
				_, page, _ := strings.Cut(href, "?page=")
				if page == "" {
					_, page, _ = strings.Cut(href, "&page=")
				}
				page, _, _ = strings.Cut(page, "&")
				links = append(links, rel+":"+page)
				if strings.Contains(tt.query, "tag_name") && !strings.Contains(href, "tag_name=celery") {
					t.Errorf("%q: link %s loses the tag", tt.query, href)
				}
			}
		}
		if got := strings.Join(links, " "); got != tt.links {
			t.Errorf("%q: links %q, want %q", tt.query, got, tt.links)
		}
	}
}

func TestBurstLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		for range 250 {
			r.want(200, "GET", "/v2/droplets/42", "")
		}
		time.Sleep(20 * time.Second)
		status, doc, h := r.do("GET", "/v2/droplets/42", "")
		if status != 429 || doc["id"] != "too_many_requests" || h.Get("Retry-After") != "40" || h.Get("Ratelimit-Remaining") != "0" {
			t.Fatalf("%d %v %v", status, doc, h)
		}
		time.Sleep(40 * time.Second)
		_, _, h = r.do("GET", "/v2/droplets/42", "")
		if h.Get("Ratelimit-Remaining") != "4749" || h.Get("Ratelimit-Limit") != "5000" {
			t.Errorf("after the minute: %v", h)
		}
	})
}

// The hourly limit slides: each request counts for its own hour. Its refusal
// has no retry-after.
func TestHourlyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{HourlyLimit: 10})
		began := time.Now()
		for range 10 {
			r.want(200, "GET", "/v2/droplets/42", "")
			time.Sleep(time.Minute)
		}
		status, _, h := r.do("GET", "/v2/droplets/42", "")
		if status != 429 || h.Get("Retry-After") != "" || h.Get("Ratelimit-Reset") != itoa(int(began.Add(time.Hour).Unix())) {
			t.Fatalf("%d %v", status, h)
		}
		time.Sleep(time.Until(began.Add(time.Hour)))
		r.want(200, "GET", "/v2/droplets/42", "")
		r.want(429, "GET", "/v2/droplets/42", "")
		time.Sleep(time.Minute)
		r.want(200, "GET", "/v2/droplets/42", "")
	})
}

func TestFaults(t *testing.T) {
	const reboot = `{"type":"reboot"}`
	tests := []struct {
		name    string
		fault   Fault
		status  int // 0: no answer
		started int
		header  string
	}{
		{"dropped before", DropBefore, 0, 0, ""},
		{"dropped after", DropAfter, 0, 1, ""},
		{"gateway", BadGateway, 502, 0, ""},
		{"error after", ErrorAfter, 500, 1, ""},
		{"burst", Burst, 429, 0, "20"},
		{"slow", Fault{Delay: time.Minute}, 201, 1, ""},
		{"slow, then dropped", Fault{Delay: time.Minute, Drop: true, Act: true}, 0, 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Options{})
				f := tt.fault.On("POST", "/v2/droplets").Once()
				f.Skip = 1
				r.Inject(f)
				r.AddDroplet(Droplet{ID: 43})
				r.want(200, "GET", "/v2/droplets", "") // does not match
				r.want(201, "POST", "/v2/droplets/43/actions", reboot)
				began := time.Now()
				status, _, h, err := r.try("POST", "/v2/droplets/42/actions", reboot)
				if status != tt.status || (err != nil) != (tt.status == 0) || h.Get("Retry-After") != tt.header {
					t.Errorf("%d %v %v", status, h, err)
				}
				if took := time.Since(began); took != tt.fault.Delay {
					t.Errorf("took %v", took)
				}
				if n := len(r.Entries(KindActionStarted)) - 1; n != tt.started {
					t.Errorf("%d actions started, want %d", n, tt.started)
				}
				r.AddDroplet(Droplet{ID: 44})
				r.want(201, "POST", "/v2/droplets/44/actions", reboot) // once is over
			})
		})
	}
}

func TestClearedFault(t *testing.T) {
	r := newRig(t, Options{})
	clear := r.Inject(Fault{Status: 503})
	for range 3 {
		r.want(503, "GET", "/v2/droplets", "")
	}
	clear()
	r.want(200, "GET", "/v2/droplets", "")
}

// By default a Sim stumbles: seldom, repeatably, and never twice in a row.
func TestUnkindByDefault(t *testing.T) {
	run := func(seed uint64) (string, int) {
		s := New(Options{Seed: seed})
		s.AddToken(tok, ExecutorScopes...)
		r := rig{s, t, s.Transport()}
		var failed []string
		for i := range 200 {
			if status, _, _ := r.do("GET", "/v2/droplets", ""); status == 503 {
				failed = append(failed, itoa(i))
			} else if status != 200 {
				t.Fatalf("status %d", status)
			}
		}
		return strings.Join(failed, " "), len(failed)
	}
	pattern, n := run(1)
	if again, _ := run(1); again != pattern {
		t.Errorf("seed 1 stumbles at %s, then at %s", pattern, again)
	}
	if other, _ := run(2); other == pattern {
		t.Errorf("seeds 1 and 2 both stumble at %s", pattern)
	}
	if n < 3 || n > 20 {
		t.Errorf("%d of 200 failed", n)
	}
}

func TestUnkindToFreshThings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Durations: map[string]time.Duration{"snapshot": time.Minute}})
		s.AddToken(tok, ExecutorScopes...)
		s.AddDroplet(Droplet{ID: 42})
		r := rig{s, t, s.Transport()}
		a := r.want(201, "POST", "/v2/droplets/42/actions", snap)["action"].(map[string]any)
		path := fmt.Sprintf("/v2/actions/%.0f", a["id"])
		r.want(404, "GET", path, "")
		if n := len(r.want(200, "GET", "/v2/droplets/42/actions", "")["actions"].([]any)); n != 0 {
			t.Error("a fresh action is listed at once")
		}
		time.Sleep(3 * time.Second)
		r.want(200, "GET", path, "")
		if n := len(r.want(200, "GET", "/v2/droplets/42/actions", "")["actions"].([]any)); n != 1 {
			t.Error("the action is not listed later")
		}
		done := time.Now()
		for len(s.Entries(KindActionCompleted)) == 0 {
			time.Sleep(time.Second)
			done = time.Now()
		}
		if took := s.Entries(KindActionCompleted)[0].At.Sub(s.Entries(KindActionStarted)[0].At); took < time.Minute || took > 84*time.Second {
			t.Errorf("took %v", took)
		}
		if r.snapshots() != 0 {
			t.Error("listed the moment it completed")
		}
		time.Sleep(time.Until(done.Add(6 * time.Second)))
		if r.snapshots() != 1 {
			t.Error("never listed")
		}
	})
}

var _ http.Handler = (*Sim)(nil)
