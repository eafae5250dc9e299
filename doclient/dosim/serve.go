package dosim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is an API request on its way through the Sim.
type request struct {
	*http.Request
	account *account
	vars    map[string]string // of the path: droplet, action, snapshot
}

// reply is an answer before it is written.
type reply struct {
	status     int
	body       any    // encoded as JSON, unless raw is set
	raw        string // an HTML body
	retryAfter time.Duration
	detail     string // for the journal
	unmodelled bool
}

// route is one line of the table of what is modelled.
type route struct {
	method, path string // {name} in path matches one segment
	scopes       []string
	handle       func(*Sim, *request) reply
}

// routes is the whole of the modelled API, with the scopes the published
// document asks for. Actions ask for theirs by type.
var routes = []route{
	{"GET", "/v2/droplets", []string{"droplet:read"}, (*Sim).listDroplets},
	{"GET", "/v2/droplets/{droplet}", []string{"droplet:read"}, (*Sim).getDroplet},
	{"GET", "/v2/droplets/{droplet}/actions", []string{"droplet:read"}, (*Sim).listActions},
	{"POST", "/v2/droplets/{droplet}/actions", nil, (*Sim).postAction},
	{"GET", "/v2/droplets/{droplet}/actions/{action}", []string{"droplet:read"}, (*Sim).getAction},
	{"GET", "/v2/droplets/{droplet}/snapshots", []string{"droplet:read"}, (*Sim).dropletSnapshots},
	{"GET", "/v2/actions/{action}", []string{"actions:read"}, (*Sim).getAction},
	{"GET", "/v2/snapshots", []string{"snapshot:read"}, (*Sim).listSnapshots},
	{"GET", "/v2/snapshots/{snapshot}", []string{"snapshot:read"}, (*Sim).getSnapshot},
	{"DELETE", "/v2/snapshots/{snapshot}", []string{"image:delete", "snapshot:delete"}, (*Sim).deleteSnapshot},
	{"GET", "/v2/monitoring/metrics/droplet/memory_available", []string{"monitoring:read"}, (*Sim).memoryAvailable},
	{"GET", "/v2/monitoring/metrics/droplet/memory_total", []string{"monitoring:read"}, (*Sim).memoryTotal},
}

func find(method, path string) (route, map[string]string, bool) {
	have := strings.Split(path, "/")
	for _, rt := range routes {
		want := strings.Split(rt.path, "/")
		if rt.method != method || len(want) != len(have) {
			continue
		}
		vars, match := map[string]string{}, true
		for i, seg := range want {
			if name, isVar := strings.CutPrefix(seg, "{"); isVar {
				vars[strings.TrimSuffix(name, "}")] = have[i]
			} else if seg != have[i] {
				match = false
				break
			}
		}
		if match {
			return rt, vars, true
		}
	}
	return route{}, nil, false
}

// serve decides under the lock, then waits and writes without it.
func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler) // the client left while it was sending
	}
	r.Body = io.NopCloser(bytes.NewReader(body))

	s.mu.Lock()
	now := time.Now()
	s.settle(now)
	q := &request{Request: r, account: s.tokens[bearer(r)]}
	f, id, line := s.fault(r), s.requestID(), len(s.journal)
	s.note(Entry{At: now, Kind: KindRequest, Method: r.Method, Path: requestPath(r.URL), Token: bearer(r), RequestID: id})
	rep := s.answer(q, f, now)
	e := &s.journal[line] // before whatever it caused
	e.Detail = rep.detail
	if rep.unmodelled {
		e.Kind = KindUnmodelled
	}
	if !f.Drop {
		e.Status = rep.status
	}
	header := s.headers(q, rep, id, now)
	s.mu.Unlock()

	if rep.unmodelled && s.opts.Panic {
		panic("dosim: not modelled: " + rep.detail)
	}
	pause(r.Context(), f.Delay)
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	write(w, rep, header, id)
}

// pause waits, or until the client has left; its work is done by then.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// answer applies a fault, then authentication, limits, scopes and the table, in
// the order a request meets them.
func (s *Sim) answer(q *request, f Fault, now time.Time) reply {
	if f.replaces() && !f.Act {
		return f.reply("not acted")
	}
	rep := s.ordinary(q, now)
	if f.replaces() {
		return f.reply("acted: " + strconv.Itoa(rep.status))
	}
	return rep
}

func (s *Sim) ordinary(q *request, now time.Time) reply {
	if q.account == nil {
		return refuse(http.StatusUnauthorized, "unauthorized", "Unable to authenticate you.")
	}
	if limited := s.admit(q.account, now); limited != nil {
		return *limited
	}
	rt, vars, ok := find(q.Method, q.URL.Path)
	if !ok {
		return unmodelled(q.Method + " " + q.URL.Path)
	}
	if q.account.lacks(rt.scopes) {
		return forbidden()
	}
	if s.stumbles(q) {
		return refuse(http.StatusServiceUnavailable, "service_unavailable", "Server is unavailable, please try again")
	}
	q.vars = vars
	return rt.handle(s, q)
}

func requestPath(u *url.URL) string {
	if u.RawQuery == "" {
		return u.Path
	}
	return u.Path + "?" + u.RawQuery
}

func (q *request) has(name string) bool { return q.vars[name] != "" }

// id is a path variable as a number; what is no number names nothing.
func (q *request) id(name string) int {
	n, err := strconv.Atoi(q.vars[name])
	if err != nil {
		return -1
	}
	return n
}

// only refuses query parameters that are not modelled.
func (q *request) only(params ...string) *reply {
	for name := range q.URL.Query() {
		if !slices.Contains(params, name) {
			rep := unmodelled("parameter " + name + " of " + q.Method + " " + q.URL.Path)
			return &rep
		}
	}
	return nil
}

func refuse(status int, id, message string) reply {
	return reply{status: status, body: map[string]any{"id": id, "message": message}}
}

func notFound() reply {
	return refuse(http.StatusNotFound, "not_found", "The resource you requested could not be found.")
}

// forbidden names no scope, as the real one does not.
func forbidden() reply {
	return refuse(http.StatusForbidden, "forbidden", "You are not authorized to perform this operation")
}

func unmodelled(what string) reply {
	rep := refuse(http.StatusNotImplemented, "not_modelled", "dosim does not model "+what)
	rep.detail, rep.unmodelled = what, true
	return rep
}

func write(w http.ResponseWriter, rep reply, header http.Header, requestID string) {
	for name, values := range header {
		w.Header()[name] = values
	}
	if rep.raw != "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(rep.status)
		io.WriteString(w, rep.raw) // a client that is gone needs no answer
		return
	}
	if rep.status == http.StatusNoContent {
		w.WriteHeader(rep.status)
		return
	}
	if m, ok := rep.body.(map[string]any); ok && rep.status >= 400 {
		m["request_id"] = requestID
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(rep.status)
	json.NewEncoder(w).Encode(rep.body)
}
