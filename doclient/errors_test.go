package doclient_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

func TestErrorsSayWhatHappened(t *testing.T) {
	long := strings.Repeat("wörd ", 200)
	tests := []struct {
		name, contentType, body string
		status                  int
		is                      error
		want                    string // the whole text
	}{
		{"401", "application/json", `{"id":"unauthorized","message":"Unable to authenticate you.","request_id":"r-1"}`, 401, doclient.ErrUnauthorized,
			"reboot droplet 42: token not accepted: DigitalOcean answered 401: Unable to authenticate you. (request r-1)"},
		{"403 names the scope", "application/json", `{"id":"forbidden","message":"You are not authorized to perform this operation"}`, 403, doclient.ErrForbidden,
			"reboot droplet 42: token lacks a scope, this needs droplet:update: DigitalOcean answered 403: You are not authorized to perform this operation (request h-1)"},
		{"404", "application/json", `{"id":"not_found","message":"The resource you requested could not be found."}`, 404, doclient.ErrNotFound,
			"reboot droplet 42: DigitalOcean answered 404: The resource you requested could not be found. (request h-1)"},
		{"422", "application/json", `{"id":"unprocessable_entity","message":"Droplet already has a pending event."}`, 422, nil,
			"reboot droplet 42: DigitalOcean answered 422: Droplet already has a pending event. (request h-1)"},
		{"429", "application/json", `{"id":"too_many_requests","message":"API Rate limit exceeded."}`, 429, doclient.ErrLimited,
			"reboot droplet 42: DigitalOcean answered 429: API Rate limit exceeded. (request h-1)"},
		{"nested form", "application/json", `{"error":{"code":7,"message":"nested words"}}`, 500, nil,
			"reboot droplet 42: DigitalOcean answered 500: nested words (request h-1)"},
		{"HTML", "text/html", "<html><head><style>b{}</style><title>502 Bad\nGateway</title></head><body><!-- x -->oops</body></html>", 502, nil,
			"reboot droplet 42: DigitalOcean answered 502: with HTML, not JSON: 502 Bad Gateway oops (request h-1)"},
		{"text", "text/plain", "upstream\x00 timed\r\nout", 504, nil,
			"reboot droplet 42: DigitalOcean answered 504: without JSON: upstream timed out (request h-1)"},
		{"nothing", "", "", 503, nil, "reboot droplet 42: DigitalOcean answered 503: with no body (request h-1)"},
		{"JSON null", "application/json", "null", 503, nil, "reboot droplet 42: DigitalOcean answered 503 (request h-1)"},
		{"endless", "application/json", `{"message":"` + long + `"}`, 500, nil,
			"reboot droplet 42: DigitalOcean answered 500: " + string([]rune(long)[:299]) + "… (request h-1)"},
		{"tokens", "application/json", `{"message":"dop_v1_abc doo_v1_def, dor_v1_ghi. Authorization: Bearer 0123abcd"}`, 500, nil,
			"reboot droplet 42: DigitalOcean answered 500: [token] [token], [token]. Authorization: [token] (request h-1)"},
	}
	for _, tt := range tests {
		rt := canned(func(r *http.Request) (*http.Response, error) {
			resp, err := says(tt.status, tt.contentType, tt.body)(r)
			resp.Header.Set("X-Request-Id", "h-1")
			return resp, err
		})
		x, err := doclient.NewExecutor(doclient.Options{Token: doclient.StaticToken(writeToken), Transport: rt})
		check(t, err)
		_, err = x.Reboot(t.Context(), 42)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
		}
		for _, sentinel := range []error{doclient.ErrUnauthorized, doclient.ErrForbidden, doclient.ErrNotFound, doclient.ErrLimited} {
			if errors.Is(err, sentinel) != (sentinel == tt.is) {
				t.Errorf("%s: is %q: %v", tt.name, sentinel, sentinel != tt.is)
			}
		}
		var e *doclient.Error
		if !errors.As(err, &e) || e.Status != tt.status || utf8.RuneCountInString(e.Message) > 300 {
			t.Errorf("%s: %+v", tt.name, e)
		}
	}
}

// The real 403 names no scope; ours does, for each operation.
func TestMissingScopesAreNamed(t *testing.T) {
	tests := []struct {
		want string
		call func(context.Context, world) error
	}{
		{"droplet:read", func(ctx context.Context, w world) error { _, err := w.reader.Droplets(ctx, "celery"); return err }},
		{"droplet:read", func(ctx context.Context, w world) error { _, err := w.reader.Droplet(ctx, web1); return err }},
		{"droplet:read", func(ctx context.Context, w world) error { _, err := w.reader.Snapshots(ctx, web1); return err }},
		{"droplet:read", func(ctx context.Context, w world) error {
			_, err := w.reader.Actions(ctx, web1, time.Now())
			return err
		}},
		{"actions:read", func(ctx context.Context, w world) error { _, err := w.reader.Action(ctx, 1); return err }},
		{"monitoring:read", func(ctx context.Context, w world) error {
			_, err := w.reader.Memory(ctx, web1, time.Now(), time.Now())
			return err
		}},
		{"droplet:update and image:create", func(ctx context.Context, w world) error {
			_, err := w.executor.Snapshot(ctx, web1, "x")
			return err
		}},
		{"droplet:update", func(ctx context.Context, w world) error { _, err := w.executor.PowerCycle(ctx, web1); return err }},
		{"snapshot:read", func(ctx context.Context, w world) error {
			return w.executor.DeleteSnapshot(ctx, doclient.Snapshot{ID: "1"})
		}},
	}
	for _, tt := range tests {
		bubble(t, func(t *testing.T, ctx context.Context) {
			w := newWorld(t, dosim.Options{})
			w.AddToken(readToken, "tag:read")
			w.AddToken(writeToken, "tag:read")
			err := tt.call(ctx, w)
			if !errors.Is(err, doclient.ErrForbidden) || !strings.Contains(err.Error(), "this needs "+tt.want+":") {
				t.Errorf("want %s: %v", tt.want, err)
			}
			if doclient.Unclear(err) {
				t.Errorf("unclear: %v", err)
			}
		})
	}
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.AddSnapshot(web1, "old", time.Now())
		s, err := w.reader.SnapshotByName(ctx, web1, "old")
		check(t, err)
		w.AddToken(writeToken, dosim.ReaderScopes...)
		if err := w.executor.DeleteSnapshot(ctx, s); err == nil || !strings.Contains(err.Error(), "image:delete and snapshot:delete") {
			t.Errorf("delete: %v", err)
		}
	})
}

func TestPending(t *testing.T) {
	for msg, want := range map[string]bool{
		"Droplet already has a pending event.":                                           true,
		"there are currently blocking events processing for one or more of the droplets": true,
		"request payload validation failed":                                              false,
	} {
		err := error(&doclient.Error{Op: "x", Status: 422, Message: msg})
		if doclient.Pending(err) != want {
			t.Errorf("%q: pending %v", msg, !want)
		}
		if doclient.Pending(&doclient.Error{Status: 500, Message: msg}) || doclient.Unclear(err) {
			t.Errorf("%q: a 500 is pending, or a 422 unclear", msg)
		}
	}
}
