package doclient_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// published loads DigitalOcean's OpenAPI document once for all tests.
//
// One place of it is mended: next_backup_window is null on a droplet without
// backups, and its schema says so, but the description beside it in an allOf is,
// read strictly, a schema that forbids null.
var published = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(os.Getenv("DROPLEAK_OPENAPI"))
	if err != nil {
		return nil, err
	}
	for _, part := range doc.Components.Schemas["droplet"].Value.Properties["next_backup_window"].Value.AllOf {
		part.Value.Nullable = true
	}
	return doc, nil
})

func spec(t *testing.T) *openapi3.T {
	t.Helper()
	if os.Getenv("DROPLEAK_OPENAPI") == "" {
		t.Skip("DROPLEAK_OPENAPI does not name DigitalOcean's OpenAPI document")
	}
	doc, err := published()
	check(t, err)
	return doc
}

// conform is a RoundTripper that holds every request and every answer against
// the published document.
type conform struct {
	doc  *openapi3.T
	base http.RoundTripper

	mu    sync.Mutex
	seen  map[string]int // "GET /v2/droplets 200"
	wrong []error
}

func newConform(doc *openapi3.T, base http.RoundTripper) *conform {
	return &conform{doc: doc, base: base, seen: map[string]int{}}
}

func (c *conform) RoundTrip(r *http.Request) (*http.Response, error) {
	body := read(&r.Body)
	in, err := c.request(r, body)
	if err != nil {
		c.complain(r, err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := c.base.RoundTrip(r)
	if err != nil || in == nil {
		return resp, err
	}
	answer := read(&resp.Body)
	if err := c.response(in, resp, answer); err != nil {
		c.complain(r, fmt.Errorf("answer %d: %w", resp.StatusCode, err))
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[fmt.Sprintf("%s %s %d", r.Method, in.Route.Path, resp.StatusCode)]++
	return resp, nil
}

func read(body *io.ReadCloser) []byte {
	if *body == nil {
		return nil
	}
	defer (*body).Close()
	b, err := io.ReadAll(*body)
	if err != nil {
		panic(err) // both sides are in memory
	}
	return b
}

func (c *conform) complain(r *http.Request, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Errorf("%s %s: %w", r.Method, r.URL, err))
}

var noAuth = &openapi3filter.Options{
	AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc, // dosim checks tokens and scopes itself
	IncludeResponseStatus: true,
}

func (c *conform) request(r *http.Request, body []byte) (*openapi3filter.RequestValidationInput, error) {
	route, vars := c.find(r)
	if route == nil {
		return nil, fmt.Errorf("the document has no such operation")
	}
	for name := range r.URL.Query() {
		if route.Operation.Parameters.GetByInAndName("query", name) == nil {
			return nil, fmt.Errorf("the document has no parameter %s", name)
		}
	}
	probe := r.Clone(r.Context())
	probe.Body = io.NopCloser(bytes.NewReader(body))
	in := &openapi3filter.RequestValidationInput{Request: probe, PathParams: vars, Route: route, Options: noAuth}
	return in, openapi3filter.ValidateRequest(r.Context(), in)
}

func (c *conform) response(in *openapi3filter.RequestValidationInput, resp *http.Response, body []byte) error {
	return openapi3filter.ValidateResponse(in.Request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: noAuth,
	})
}

// find matches a request with an operation of the document.
func (c *conform) find(r *http.Request) (*routers.Route, map[string]string) {
	have := strings.Split(r.URL.Path, "/")
	for _, path := range c.doc.Paths.InMatchingOrder() {
		want, vars := strings.Split(path, "/"), map[string]string{}
		if len(want) != len(have) {
			continue
		}
		fits := true
		for i, seg := range want {
			if name, isVar := strings.CutPrefix(seg, "{"); isVar {
				vars[strings.TrimSuffix(name, "}")] = have[i]
			} else if seg != have[i] {
				fits = false
			}
		}
		item := c.doc.Paths.Value(path)
		if op := item.GetOperation(r.Method); fits && op != nil {
			return &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: r.Method, Operation: op}, vars
		}
	}
	return nil, nil
}

// Every request doclient can send, and every kind of answer dosim can give to
// them, are as DigitalOcean published.
func TestConformsToPublishedAPI(t *testing.T) {
	doc := spec(t)
	var c *conform
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{}, func(o *doclient.Options) { o.OnlyTag = "celery" })
		c = newConform(doc, w.Transport())
		w.reader, w.executor = w.clients(t, func(o *doclient.Options) { o.Transport, o.OnlyTag = c, "celery" })
		everyRequest(t, ctx, w)
		everyRefusal(t, ctx, w, c)
	})
	for _, err := range c.wrong {
		t.Error(err)
	}
	for _, want := range []string{
		"GET /v2/droplets 200", "GET /v2/droplets/{droplet_id} 200", "GET /v2/droplets/{droplet_id} 404",
		"GET /v2/droplets/{droplet_id}/actions 200", "POST /v2/droplets/{droplet_id}/actions 201",
		"POST /v2/droplets/{droplet_id}/actions 422", "POST /v2/droplets/{droplet_id}/actions 403",
		"GET /v2/droplets/{droplet_id}/actions/{action_id} 200", "GET /v2/droplets/{droplet_id}/snapshots 200",
		"GET /v2/actions/{action_id} 200", "GET /v2/actions/{action_id} 404",
		"GET /v2/snapshots 200", "GET /v2/snapshots/{snapshot_id} 200", "GET /v2/snapshots/{snapshot_id} 400",
		"DELETE /v2/snapshots/{snapshot_id} 204", "GET /v2/droplets 401", "GET /v2/droplets 429", "GET /v2/droplets 500",
		"GET /v2/monitoring/metrics/droplet/memory_available 200", "GET /v2/monitoring/metrics/droplet/memory_available 422",
		"GET /v2/monitoring/metrics/droplet/memory_total 200",
	} {
		if c.seen[want] == 0 {
			t.Errorf("not exercised: %s", want)
		}
	}
}

// everyRequest calls each method that sends something.
func everyRequest(t *testing.T, ctx context.Context, w world) {
	for i := range 250 { // two pages
		w.AddDroplet(dosim.Droplet{ID: 5000 + i, Tags: []string{"celery"}})
	}
	_, err := w.reader.Droplets(ctx, "celery")
	check(t, err)
	_, err = w.reader.Droplets(ctx, "")
	check(t, err)
	_, err = w.reader.Memory(ctx, web1, time.Now().Add(-time.Hour), time.Now())
	check(t, err)
	a, err := w.executor.Snapshot(ctx, web1, "run-1")
	check(t, err)
	if _, err = w.executor.Reboot(ctx, web1); !doclient.Pending(err) {
		t.Errorf("reboot during a snapshot: %v", err)
	}
	_, err = w.reader.Await(ctx, a.ID, doclient.AwaitOptions{})
	check(t, err)
	_, err = w.reader.FindActions(ctx, web1, doclient.TypeSnapshot, time.Now().Add(-time.Hour))
	check(t, err)
	s, err := w.reader.AwaitSnapshot(ctx, web1, "run-1", doclient.AwaitOptions{})
	check(t, err)
	_, err = w.executor.PowerCycle(ctx, web1)
	check(t, err)
	_, err = doclient.RetryPending(ctx, doclient.AwaitOptions{}, func(ctx context.Context) (doclient.Action, error) {
		return w.executor.Reboot(ctx, web1)
	})
	check(t, err)
	check(t, w.reader.AwaitFree(ctx, web1, doclient.AwaitOptions{}))
	check(t, w.executor.DeleteSnapshot(ctx, s))
}

// everyRefusal meets the answers that are not 2xx, and asks plainly for what
// dosim offers beyond doclient's needs.
func everyRefusal(t *testing.T, ctx context.Context, w world, c *conform) {
	id := w.AddSnapshot(web1, "old", time.Now().Add(-time.Hour))
	backup := w.AddBackup(web1, "weekly", time.Now().Add(-time.Hour))
	action := w.StartAction(5000, "snapshot", "theirs")
	for range 3 { // past a hidden action and a stumble
		for _, path := range []string{
			"/v2/droplets/1", "/v2/actions/1", "/v2/snapshots?resource_type=droplet&per_page=1&page=1",
			fmt.Sprintf("/v2/snapshots/%d", id), fmt.Sprintf("/v2/snapshots/%d", backup),
			fmt.Sprintf("/v2/droplets/5000/actions/%d", action), "/v2/droplets/3164444/snapshots?per_page=1&page=2",
			"/v2/monitoring/metrics/droplet/memory_available?host_id=1&start=2&end=1",
		} {
			get(t, ctx, c, path, readToken)
		}
	}
	get(t, ctx, c, "/v2/droplets", "dop_v1_wrong")
	for _, f := range []dosim.Fault{dosim.Burst, {Status: 500}} {
		w.Inject(f.On("GET", "/v2/droplets").Once())
		get(t, ctx, c, "/v2/droplets", readToken)
	}
	w.AddToken(writeToken, dosim.ReaderScopes...)
	if _, err := w.executor.Reboot(ctx, 5001); err == nil {
		t.Error("a reader's token rebooted a droplet")
	}
}

func get(t *testing.T, ctx context.Context, rt http.RoundTripper, path, token string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", doclient.DefaultBaseURL+path, nil)
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := rt.RoundTrip(req)
	check(t, err)
	check(t, resp.Body.Close())
}

// The validator itself can fail: each of these but the unnamed breaks one answer
// or one request.
func TestConformSeesRed(t *testing.T) {
	doc := spec(t)
	const droplets, metrics = "/v2/droplets", "/v2/monitoring/metrics/droplet/memory_total?host_id=3164444&start=1&end=2000000000"
	tests := []struct{ name, path, from, to string }{
		{"", droplets, "", ""},
		{"", metrics, "", ""},
		{"droplet without tags", droplets, `"tags":[],"vcpus"`, `"tag":[],"vcpus"`},
		{"memory as text", droplets, `"memory":1024,"name"`, `"memory":"1024","name"`},
		{"unknown status", droplets, `"status":"active"`, `"status":"up"`},
		{"no meta", droplets, `"meta":`, `"mets":`},
		{"a created_at that is no time", droplets, `T0`, `X0`},
		{"vector for matrix", metrics, `"matrix"`, `"vector"`},
		{"a sample that is a float", metrics, `"1052`, `1.5,"1052`},
		{"request with an unknown parameter", droplets + "?tag=celery", "", ""},
		{"request of 201 a page", droplets + "?per_page=201", "", ""},
		{"request without end", "/v2/monitoring/metrics/droplet/memory_total?host_id=1&start=1", "", ""},
		{"path that does not exist", "/v2/dropletz", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context) {
				sim := dosim.New(dosim.Options{}).Kind()
				sim.AddToken(readToken, dosim.ReaderScopes...)
				sim.AddDroplet(dosim.Droplet{ID: web1, Memory: func(time.Time) (int64, int64) { return 1 << 29, 1052266987 }})
				c := newConform(doc, tamper{sim.Transport(), tt.from, tt.to})
				get(t, ctx, c, tt.path, readToken)
				if sound := tt.name == ""; sound != (len(c.wrong) == 0) {
					t.Errorf("sound %v, the validator says %v", sound, c.wrong)
				}
			})
		})
	}
}

// tamper replaces the first occurrence of a text in answers.
type tamper struct {
	base     http.RoundTripper
	from, to string
}

func (x tamper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := x.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body := read(&resp.Body)
	changed := bytes.Replace(body, []byte(x.from), []byte(x.to), 1)
	resp.Body = io.NopCloser(bytes.NewReader(changed))
	return resp, nil
}
