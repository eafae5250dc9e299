package dosim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const tok = "dop_v1_sim"

// rig is a kind Sim with one droplet, spoken to in plain HTTP.
type rig struct {
	*Sim
	t  *testing.T
	rt http.RoundTripper
}

func newRig(t *testing.T, opts Options) rig {
	s := New(opts).Kind()
	s.AddToken(tok, ExecutorScopes...)
	s.AddDroplet(Droplet{ID: 42, Tags: []string{"celery"}})
	return rig{s, t, s.Transport()}
}

// do sends a request and decodes its answer.
func (r rig) do(method, path, body string) (int, map[string]any, http.Header) {
	r.t.Helper()
	status, doc, header, err := r.try(method, path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	return status, doc, header
}

func (r rig) try(method, path, body string) (int, map[string]any, http.Header, error) {
	req, err := http.NewRequest(method, "https://api.digitalocean.com"+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+tok)
	resp, err := r.rt.RoundTrip(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, nil, err
	}
	var doc map[string]any
	if len(raw) > 0 && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		err = json.Unmarshal(raw, &doc)
	}
	return resp.StatusCode, doc, resp.Header, err
}

func (r rig) want(status int, method, path, body string) map[string]any {
	r.t.Helper()
	got, doc, _ := r.do(method, path, body)
	if got == 503 && !r.kind {
		got, doc, _ = r.do(method, path, body) // it stumbled; never twice in a row
	}
	if got != status {
		r.t.Fatalf("%s %s: %d %v, want %d", method, path, got, doc, status)
	}
	return doc
}

func (r rig) snapshots() int {
	r.t.Helper()
	return len(r.want(200, "GET", "/v2/droplets/42/snapshots", "")["snapshots"].([]any))
}

const snap = `{"type":"snapshot","name":"run-1"}`

func TestSnapshotIsListedOnlyWhenDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		a := r.want(201, "POST", "/v2/droplets/42/actions", snap)["action"].(map[string]any)
		if a["status"] != "in-progress" || a["completed_at"] != nil {
			t.Errorf("fresh action %v", a)
		}
		time.Sleep(2*time.Minute - time.Second)
		if r.snapshots() != 0 || len(r.Snapshots()) != 0 {
			t.Error("a snapshot in progress is listed")
		}
		time.Sleep(time.Second)
		list := r.want(200, "GET", "/v2/droplets/42/snapshots", "")["snapshots"].([]any)
		if len(list) != 1 {
			t.Fatalf("%d snapshots", len(list))
		}
		sn := list[0].(map[string]any)
		if sn["name"] != "run-1" || sn["created_at"] != a["started_at"] || sn["id"] == a["id"] {
			t.Errorf("snapshot %v of action %v", sn, a)
		}
	})
}

func TestActionsBlockEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.AddDroplet(Droplet{ID: 43})
		r.want(201, "POST", "/v2/droplets/42/actions", snap)
		doc := r.want(422, "POST", "/v2/droplets/42/actions", `{"type":"reboot"}`)
		if doc["id"] != "unprocessable_entity" || doc["message"] != "Droplet already has a pending event." || doc["request_id"] == nil {
			t.Errorf("refusal %v", doc)
		}
		r.want(201, "POST", "/v2/droplets/43/actions", `{"type":"reboot"}`)
		time.Sleep(2 * time.Minute)
		r.want(201, "POST", "/v2/droplets/42/actions", `{"type":"power_cycle"}`)
	})
}

func TestErroredSnapshotLeavesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.FailActions("snapshot", 1)
		for i, want := range []string{KindActionErrored, KindActionCompleted} {
			r.want(201, "POST", "/v2/droplets/42/actions", snap)
			time.Sleep(2 * time.Minute)
			if n := r.snapshots(); n != i {
				t.Errorf("attempt %d: %d snapshots", i, n)
			}
			if got := r.Entries(want); len(got) != 1 {
				t.Errorf("journal has %d %s", len(got), want)
			}
		}
	})
}

// The journal is the judge of "snapshot before restart", so what fell due
// between two requests carries the moment it fell due.
func TestJournalTellsWhenThingsHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		began := time.Now()
		r.want(201, "POST", "/v2/droplets/42/actions", snap)
		time.Sleep(time.Hour)
		r.want(201, "POST", "/v2/droplets/42/actions", `{"type":"reboot"}`)
		var kinds []string
		for _, e := range r.Journal() {
			kinds = append(kinds, e.Kind)
		}
		want := "request action_started snapshot_created action_completed request action_started"
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("journal %s, want %s", got, want)
		}
		e := r.Entries(KindSnapshotCreated)[0]
		if !e.At.Equal(began.Add(2*time.Minute)) || e.SnapshotName != "run-1" || e.DropletID != 42 || e.SnapshotID == 0 {
			t.Errorf("entry %+v", e)
		}
	})
}

func TestOnActionIsToldInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var at []time.Duration
		began := time.Now()
		var r rig
		r = newRig(t, Options{OnAction: func(a Action) {
			told, at = append(told, a.Status), append(at, time.Since(began))
			r.Settle() // it may call back
		}})
		r.want(201, "POST", "/v2/droplets/42/actions", `{"type":"reboot"}`)
		time.Sleep(time.Hour) // nobody asks meanwhile
		synctest.Wait()
		if strings.Join(told, " ") != "in-progress completed" || at[1] != 30*time.Second {
			t.Errorf("told %v at %v", told, at)
		}
	})
}

func TestDeletedSnapshotIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		id := r.AddSnapshot(42, "old", time.Now())
		backup := r.AddBackup(42, "weekly", time.Now())
		path := "/v2/snapshots/" + itoa(id)
		r.want(200, "GET", path, "")
		r.want(204, "DELETE", path, "")
		r.want(404, "DELETE", path, "")
		r.want(404, "GET", path, "")
		doc := r.want(400, "DELETE", "/v2/snapshots/"+itoa(backup), "")
		if doc["message"] != "the resource is not a snapshot" {
			t.Errorf("refusal %v", doc)
		}
		r.want(404, "GET", "/v2/snapshots/fbe805e8-866b-11e6-96bf-000f53315a41", "")
		r.RemoveDroplet(42)
		r.want(404, "GET", "/v2/droplets/42/snapshots", "")
	})
}

func TestUnmodelledRequestsAreLoud(t *testing.T) {
	tests := []struct{ method, path, body string }{
		{"GET", "/v2/account", ""},
		{"POST", "/v2/droplets", `{}`},
		{"GET", "/v2/droplets?name=web", ""},
		{"GET", "/v2/droplets?type=kubernetes", ""},
		{"GET", "/v2/droplets/42?page=1", ""},
		{"DELETE", "/v2/droplets/42", ""},
		{"POST", "/v2/droplets/42/actions", `{"type":"power_off"}`},
		{"POST", "/v2/droplets/42/actions", `{"type":"reboot","name":"x"}`},
		{"GET", "/v2/snapshots?resource_type=volume", ""},
		{"GET", "/v2/monitoring/metrics/droplet/cpu?host_id=42&start=1&end=2", ""},
		{"GET", "/v2/monitoring/metrics/droplet/memory_total?host_id=42&start=1&end=2&step=60", ""},
	}
	for _, tt := range tests {
		r := newRig(t, Options{})
		r.want(501, tt.method, tt.path, tt.body)
		if got := r.Unmodelled(); len(got) != 1 || got[0].Detail == "" {
			t.Errorf("%s %s: journal has %v", tt.method, tt.path, got)
		}
	}
	loud := newRig(t, Options{Panic: true})
	defer func() {
		if recover() == nil {
			t.Error("Panic did not panic")
		}
	}()
	loud.want(501, "GET", "/v2/account", "")
}

func TestBadRequests(t *testing.T) {
	r := newRig(t, Options{})
	r.want(400, "POST", "/v2/droplets/42/actions", `{`)
	r.want(404, "POST", "/v2/droplets/7/actions", snap)
	r.want(404, "GET", "/v2/droplets/none", "")
	r.want(404, "GET", "/v2/droplets/42/actions/5", "")
	r.want(422, "GET", "/v2/droplets?per_page=201", "")
	r.want(422, "GET", "/v2/droplets?page=0", "")
	for _, query := range []string{"", "?host_id=42", "?host_id=42&start=1", "?host_id=x&start=1&end=2", "?host_id=42&start=2&end=1", "?host_id=42&start=1.5&end=2"} {
		r.want(422, "GET", "/v2/monitoring/metrics/droplet/memory_total"+query, "")
	}
	if u := r.Unmodelled(); len(u) != 0 {
		t.Errorf("called unmodelled: %v", u)
	}
}

func TestTokensAndScopes(t *testing.T) {
	tests := []struct {
		scopes       []string
		method, path string
		body         string
		want         int
	}{
		{nil, "GET", "/v2/droplets", "", 401},
		{[]string{"tag:read"}, "GET", "/v2/droplets", "", 403},
		{[]string{"droplet:read"}, "GET", "/v2/droplets", "", 200},
		{[]string{"droplet:read"}, "GET", "/v2/actions/1", "", 404},
		{[]string{"tag:read"}, "GET", "/v2/actions/1", "", 403},
		{[]string{"droplet:read"}, "GET", "/v2/monitoring/metrics/droplet/memory_total?host_id=1&start=1&end=2", "", 403},
		{[]string{"droplet:update"}, "POST", "/v2/droplets/42/actions", snap, 403},
		{[]string{"droplet:update", "image:create"}, "POST", "/v2/droplets/42/actions", snap, 201},
		{[]string{"droplet:update"}, "POST", "/v2/droplets/42/actions", `{"type":"reboot"}`, 201},
		{[]string{"snapshot:delete"}, "DELETE", "/v2/snapshots/1", "", 403},
		{[]string{"snapshot:delete", "image:delete"}, "DELETE", "/v2/snapshots/1", "", 404},
	}
	for _, tt := range tests {
		r := newRig(t, Options{})
		if r.RevokeToken(tok); tt.scopes != nil {
			r.AddToken(tok, tt.scopes...)
		}
		doc := r.want(tt.want, tt.method, tt.path, tt.body)
		if msg, _ := doc["message"].(string); strings.Contains(msg, ":") {
			t.Errorf("a refusal names a scope, which the real one does not: %q", msg)
		}
	}
}

// Over a socket a dropped connection is a broken one, not an answer.
func TestOverSocket(t *testing.T) {
	sim := New(Options{}).Kind()
	sim.AddToken(tok, ReaderScopes...)
	srv := httptest.NewServer(sim)
	defer srv.Close()
	ask := func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/v2/droplets", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+tok)
		return srv.Client().Do(req)
	}
	resp, err := ask()
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	resp.Body.Close()
	srv.Client().CloseIdleConnections()
	clear := sim.Inject(DropBefore)
	if resp, err := ask(); err == nil {
		t.Fatalf("dropped connection answered %d", resp.StatusCode)
	}
	clear()
	if resp, err = ask(); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func TestLeavingClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.Inject(Fault{Delay: time.Minute}.On("POST", "/").Once())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", "https://x/v2/droplets/42/actions", strings.NewReader(snap))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+tok)
		if _, err := r.rt.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if n := len(r.Entries(KindActionStarted)); n != 1 {
			t.Errorf("%d actions started by a client that left", n)
		}
	})
}
