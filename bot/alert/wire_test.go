package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func told(firing bool) Due {
	return Due{Firing: firing, Changed: noon, Version: 3, Alert: Alert{Key: "finding/f7k2", Kind: RunningOut, Severity: Critical,
		Title: "mail on web-1 runs out of memory in 20 min", Detail: "About 20 min left until 2.0 GiB (memory.max).", Since: noon.Add(-time.Hour),
		Droplet: "web-1", DropletID: "42", Worker: "mail", Finding: "f7k2", Run: "r3x7"}}
}

// sink takes one call.
type sink struct {
	*httptest.Server
	path   string
	header http.Header
	body   []byte
	answer func(w http.ResponseWriter)
}

func newSink(t *testing.T) *sink {
	s := &sink{answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) }}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.path, s.header = r.URL.Path, r.Header
		s.body, _ = io.ReadAll(r.Body)
		s.answer(w)
	}))
	t.Cleanup(s.Close)
	return s
}

// The example of the Standard Webhooks specification.
func TestSignature(t *testing.T) {
	secret, err := Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := Sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("signed %s", got)
	}
	for text, want := range map[string]string{"short": "16 bytes", "whsec_!": "base64", "": "16 bytes"} {
		if _, err := Secret(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestWire compares what each endpoint gets with what was found good.
func TestWire(t *testing.T) {
	for name, at := range map[string]func(url string) Endpoint{
		"webhook":      func(u string) Endpoint { return Webhook{URL: u + "/hook", Secret: []byte("0123456789abcdef")} },
		"pagerduty":    func(u string) Endpoint { return PagerDuty{URL: u + "/", RoutingKey: "R0UT1NG", Source: "celery"} },
		"alertmanager": func(u string) Endpoint { return Alertmanager{URL: u + "/am/", User: "u", Secret: "p"} },
	} {
		for _, firing := range []bool{true, false} {
			s := newSink(t)
			if err := at(s.URL).Send(t.Context(), told(firing)); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			var b bytes.Buffer
			if err := json.Indent(&b, s.body, "", "  "); err != nil {
				t.Fatal(err)
			}
			got := "POST " + s.path + "\n" + ends(b.String()) + "\n"
			file := filepath.Join("testdata", name+"-"+status(told(firing))+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || string(want) != got {
				t.Errorf("%s differs from what was found good (%v):\n%s", file, err, got)
			}
			switch name {
			case "webhook":
				signedBy(t, s, "0123456789abcdef")
			case "alertmanager":
				if s.header.Get("Authorization") != "Basic dTpw" {
					t.Errorf("authorization %q", s.header.Get("Authorization"))
				}
			}
		}
	}
}

// TestASourceIsNamed: where there is neither droplet nor worker, an alert names
// the source, to route by.
func TestASourceIsNamed(t *testing.T) {
	for want, at := range map[string]func(url string) Endpoint{
		`"source":"prometheus-main"`:    func(u string) Endpoint { return Webhook{URL: u, Secret: []byte("0123456789abcdef")} },
		`"component":"prometheus-main"`: func(u string) Endpoint { return PagerDuty{URL: u, Source: "celery"} },
		`"alertname":"DropleakLostSource","key":"finding/f5s5","service":"dropleak","severity":"error","source":"prometheus-main"`: func(u string) Endpoint { return Alertmanager{URL: u} },
	} {
		s := newSink(t)
		if err := at(s.URL).Send(t.Context(), Due{Firing: true, Changed: noon, Alert: Alert{Key: "finding/f5s5", Kind: LostSource, Severity: Error,
			Title: "source prometheus-main does not answer", Since: noon, Source: "prometheus-main"}}); err != nil || !strings.Contains(string(s.body), want) {
			t.Errorf("%v, no %s in\n%s", err, want, s.body)
		}
	}
}

// ends takes the moment of the call out of an Alertmanager's alert.
func ends(body string) string {
	var posts []map[string]any
	if json.Unmarshal([]byte(body), &posts) != nil {
		return body
	}
	at, err := time.Parse(time.RFC3339Nano, posts[0]["endsAt"].(string))
	if err == nil && time.Until(at) > 2*time.Minute && time.Until(at) <= 3*time.Minute {
		posts[0]["endsAt"] = "in three minutes"
	}
	out, _ := json.MarshalIndent(posts, "", "  ")
	return string(out)
}

// signedBy checks a call as its receiver would.
func signedBy(t *testing.T, s *sink, secret string) {
	t.Helper()
	sec, err := strconv.ParseInt(s.header.Get(HeaderTimestamp), 10, 64)
	if err != nil || time.Since(time.Unix(sec, 0)).Abs() > time.Minute {
		t.Errorf("timestamp %q", s.header.Get(HeaderTimestamp))
	}
	if got := Sign([]byte(secret), s.header.Get(HeaderID), time.Unix(sec, 0), s.body); got != s.header.Get(HeaderSignature) {
		t.Errorf("signature %q, want %q", s.header.Get(HeaderSignature), got)
	}
}

// A webhook's id is the same for the same news, and another for other news.
func TestWebhookID(t *testing.T) {
	s := newSink(t)
	w := Webhook{URL: s.URL, Secret: []byte("0123456789abcdef")}
	id := func(change func(*Due)) string {
		d := told(true)
		change(&d)
		if err := w.Send(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		return s.header.Get(HeaderID)
	}
	first := id(func(*Due) {})
	if again := id(func(d *Due) { d.Tries = 7 }); again != first {
		t.Errorf("the same news is %s and %s", first, again)
	}
	for name, change := range map[string]func(*Due){"version": func(d *Due) { d.Version++ }, "key": func(d *Due) { d.Alert.Key = "slack" },
		"time it began, after it was forgotten": func(d *Due) { d.Changed = d.Changed.Add(48 * time.Hour) }} {
		if id(change) == first {
			t.Errorf("another %s has the same id", name)
		}
	}
}

// What is not a yes is an error that tells what was answered, and no secret.
func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   RefusedError
	}{
		"too many": {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "30"); w.WriteHeader(429) }, RefusedError{429, "", 30 * time.Second}},
		"bad":      {func(w http.ResponseWriter) { w.WriteHeader(400); _, _ = w.Write([]byte("no such\nkey")) }, RefusedError{400, "no such key", 0}},
		"moved": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(307)
		}, RefusedError{307, "", 0}},
	} {
		s := newSink(t)
		s.answer = tt.answer
		err := Webhook{URL: s.URL + "/a-secret-path", Secret: []byte("0123456789abcdef")}.Send(t.Context(), told(true))
		var refused *RefusedError
		if !errors.As(err, &refused) || *refused != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (Webhook{URL: "http://127.0.0.1:1/a-secret-path"}).Send(ctx, told(true)); err == nil || strings.Contains(err.Error(), "a-secret") {
		t.Errorf("unreachable: %v", err)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "5", "-1", "1e9", "99999999999999999999", "Wed, 21 Oct 2026 07:28:00 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s); d < 0 || d > 24*time.Hour {
			t.Errorf("%q: %v", s, d)
		}
	})
}
