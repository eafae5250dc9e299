package agent

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
	writev2 "github.com/prometheus/client_golang/exp/api/remote/genproto/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/sample"
)

// service is the other end of the wire: a remote-write receiver built on the
// library's handler, and a list of orders. Hooks stand for faults.
type service struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	series   []sample.Series
	requests []http.Header // of writes
	waiting  []order.Order
	claims   map[string]int
	results  []order.Result
	only1    bool                             // speaks remote write 1.0 only
	refuse   func(r *http.Request) int        // a status instead of an answer; 0: none
	onResult func(w http.ResponseWriter) bool // true: answered already
	changed  chan struct{}
}

func newService(t *testing.T) *service {
	s := &service{t: t, claims: map[string]int{}, changed: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.Handle("POST "+order.PathWrite, s.write())
	mux.HandleFunc("GET "+order.PathOrders, s.list)
	mux.HandleFunc("POST "+order.PathOrders+"/{key}/claim", s.claim)
	mux.HandleFunc("POST "+order.PathOrders+"/{key}/result", s.result)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		refuse := s.refuse
		s.mu.Unlock()
		if refuse != nil {
			if status := refuse(r); status != 0 {
				http.Error(w, "no", status)
				return
			}
		}
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) note() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *service) write() http.Handler {
	v2 := remote.NewWriteHandler(s, remote.MessageTypes{remote.WriteV2MessageType, remote.WriteV1MessageType})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Header.Clone())
		old := s.only1
		s.mu.Unlock()
		if old && r.Header.Get("X-Prometheus-Remote-Write-Version") == "2.0.0" {
			http.Error(w, "1.0 only", http.StatusUnsupportedMediaType)
			return
		}
		v2.ServeHTTP(w, r)
	})
}

// Store takes what the library's handler unpacked.
func (s *service) Store(r *http.Request, kind remote.WriteMessageType) (*remote.WriteResponse, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var got []sample.Series
	if kind == remote.WriteV2MessageType {
		req := &writev2.Request{}
		if err := req.UnmarshalVT(raw); err != nil {
			return nil, err
		}
		got = fromV2(req)
	} else {
		got = fromV1(s.t, raw)
	}
	s.mu.Lock()
	s.series = append(s.series, got...)
	s.mu.Unlock()
	s.note()
	answer := remote.NewWriteResponse()
	answer.Add(remote.WriteResponseStats{Samples: len(got)})
	answer.SetStatusCode(http.StatusNoContent)
	return answer, nil
}

func fromV2(req *writev2.Request) []sample.Series {
	var out []sample.Series
	for _, ts := range req.Timeseries {
		var s sample.Series
		for i := 0; i < len(ts.LabelsRefs); i += 2 {
			s.Labels = append(s.Labels, sample.Label{Name: req.Symbols[ts.LabelsRefs[i]], Value: req.Symbols[ts.LabelsRefs[i+1]]})
		}
		for _, p := range ts.Samples {
			s.Points = append(s.Points, sample.Point{At: p.Timestamp, V: p.Value})
		}
		out = append(out, s)
	}
	return out
}

// fromV1 reads a 1.0 request with nothing but the wire format, apart from
// the code under test.
func fromV1(t *testing.T, raw []byte) []sample.Series {
	var out []sample.Series
	fields(t, raw, func(_ protowire.Number, series []byte, _ uint64) {
		var s sample.Series
		fields(t, series, func(n protowire.Number, part []byte, _ uint64) {
			if n == 1 {
				var l sample.Label
				fields(t, part, func(n protowire.Number, b []byte, _ uint64) {
					if n == 1 {
						l.Name = string(b)
					} else {
						l.Value = string(b)
					}
				})
				s.Labels = append(s.Labels, l)
				return
			}
			var p sample.Point
			fields(t, part, func(n protowire.Number, _ []byte, v uint64) {
				if n == 1 {
					p.V = math.Float64frombits(v)
				} else {
					p.At = int64(v)
				}
			})
			s.Points = append(s.Points, p)
		})
		out = append(out, s)
	})
	return out
}

func fields(t *testing.T, raw []byte, each func(protowire.Number, []byte, uint64)) {
	for len(raw) > 0 {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			t.Errorf("bad tag")
			return
		}
		raw = raw[n:]
		switch typ {
		case protowire.BytesType:
			b, n := protowire.ConsumeBytes(raw)
			each(num, b, 0)
			raw = raw[n:]
		case protowire.Fixed64Type:
			v, n := protowire.ConsumeFixed64(raw)
			each(num, nil, v)
			raw = raw[n:]
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(raw)
			each(num, nil, v)
			raw = raw[n:]
		default:
			t.Errorf("field %d of type %d", num, typ)
			return
		}
	}
}

func (s *service) list(w http.ResponseWriter, r *http.Request) {
	wait, err := time.ParseDuration(r.URL.Query().Get("wait"))
	if err != nil || wait != 30*time.Second {
		s.t.Errorf("wait = %q, want 30s", r.URL.Query().Get("wait"))
	}
	deadline := time.After(2 * time.Second) // shorter than asked is allowed
	for {
		s.mu.Lock()
		var list []order.Order
		for _, o := range s.waiting {
			if s.claims[o.Key()] == 0 {
				list = append(list, o)
			}
		}
		s.mu.Unlock()
		if len(list) > 0 {
			json.NewEncoder(w).Encode(list)
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-deadline:
			w.WriteHeader(http.StatusNoContent)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *service) claim(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims[r.PathValue("key")]++
	if s.claims[r.PathValue("key")] > 1 {
		http.Error(w, "claimed before", http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) result(w http.ResponseWriter, r *http.Request) {
	res, err := order.ReadResult(r.Body)
	if err != nil {
		s.t.Errorf("result: %v", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	hook := s.onResult
	s.mu.Unlock()
	if hook != nil && hook(w) {
		return
	}
	s.mu.Lock()
	s.results = append(s.results, res)
	s.mu.Unlock()
	s.note()
	w.WriteHeader(http.StatusNoContent)
}

// give hands an order out.
func (s *service) give(o order.Order) {
	if err := o.Validate(); err != nil {
		s.t.Fatalf("the test's own order: %v", err)
	}
	s.mu.Lock()
	s.waiting = append(s.waiting, o)
	s.mu.Unlock()
}

// await waits until the service holds what ok wants of it.
func (s *service) await(within time.Duration, what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(within)
	for {
		s.mu.Lock()
		done := ok()
		s.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no %s within %s", what, within)
		}
		select {
		case <-s.changed:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// awaitResult waits for the result of one order.
func (s *service) awaitResult(key string, within time.Duration) order.Result {
	s.t.Helper()
	var out order.Result
	s.await(within, "result of "+key, func() bool {
		for _, r := range s.results {
			if r.Key() == key {
				out = r
				return true
			}
		}
		return false
	})
	return out
}

// passes decodes all that was written.
func (s *service) passes() []sample.Pass {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, _ := sample.Decode(s.series)
	return out
}

// options are those of an agent that talks to s.
func (s *service) options(t *testing.T) Options {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	machine := filepath.Join(dir, "machine-id")
	if err := os.WriteFile(machine, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	meta := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "42") }))
	t.Cleanup(meta.Close)
	return Options{Server: s.URL, TokenFile: token, Spool: filepath.Join(dir, "spool"), Every: time.Second, MachineID: machine,
		MetadataURL: meta.URL, Version: "test"}
}

func refuseResults(w http.ResponseWriter) bool {
	http.Error(w, "not now", http.StatusServiceUnavailable)
	return true
}
