package hub

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/klauspost/compress/snappy"
)

// one is a store of one token, which is good whatever its secret.
type one struct {
	Store
	token Token
}

func (s one) TokenByHash(context.Context, string) (Token, error)         { return s.token, nil }
func (s one) TouchToken(context.Context, string, Seen) error             { return nil }
func (s one) BindToken(_ context.Context, _ string, _, _ Identity) error { return nil }

// sink counts what is stored; while gate is open it takes anything.
type sink struct {
	gate  chan struct{}
	takes int
}

func (s *sink) WriteAs(context.Context, history.Owner, []sample.Series) error {
	s.takes++
	if s.gate != nil {
		<-s.gate
	}
	return nil
}

func post(h *Hub, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", order.PathWrite, bytes.NewReader(snappy.Encode(nil, body)))
	r.Header.Set("Authorization", "Bearer x")
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "snappy")
	rec := httptest.NewRecorder()
	h.Handler().ServeHTTP(rec, r)
	return rec
}

// points is a version 1 message: one series of n samples at 1, 1, 1, … ms.
func points(n int) []byte {
	series := append([]byte{0x0a, 16, 0x0a, 8}, "__name__"...)
	series = append(append(series, 0x12, 4), "name"...)
	series = append(series, bytes.Repeat([]byte{0x12, 2, 0x10, 1}, n)...)
	return append([]byte{0x0a, byte(len(series)&0x7f | 0x80), byte(len(series) >> 7)}, series...)
}

// TestBombs: what is small on the wire and large in memory is refused before
// it is made.
func TestBombs(t *testing.T) {
	for name, c := range map[string]struct {
		msg  string
		unit []byte // two bytes or less, and what they cost
	}{
		"series of version 1":  {protoV1, []byte{0x0a, 0}},
		"symbols":              {protoV2, []byte{0x22, 0}},
		"series of version 2":  {protoV2, []byte{0x2a, 0}},
		"fields nobody speaks": {protoV2, []byte{0x18, 1}},
	} {
		_, err := decode(c.msg, bytes.Repeat(c.unit, 1001), 1000)
		if no, ok := err.(*refusal); !ok || no.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %v, want 413", name, err)
		}
	}
	wrap := func(field byte, inner []byte) []byte {
		return append([]byte{field, byte(len(inner)&0x7f | 0x80), byte(len(inner) >> 7)}, inner...)
	}
	for name, b := range map[string][]byte{
		"samples": wrap(0x0a, bytes.Repeat([]byte{0x12, 0}, 1001)),
		"labels":  wrap(0x0a, bytes.Repeat([]byte{0x0a, 0}, 1001)),
	} {
		if _, err := decode(protoV1, b, 1000); err == nil || err.(*refusal).status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %v, want 413", name, err)
		}
	}
	refs := append([]byte{0x22, 0}, wrap(0x2a, wrap(0x0a, make([]byte, 1002)))...)
	if _, err := decode(protoV2, refs, 1000); err == nil || err.(*refusal).status != http.StatusRequestEntityTooLarge {
		t.Errorf("labels of version 2: %v, want 413", err)
	}
	if _, err := decode(protoV1, points(900), 1000); err != nil {
		t.Errorf("within the bound: %v", err)
	}
}

// TestPointsOfAToken: a token that fills the disk is told to wait, in the
// words that its kind understands.
func TestPointsOfAToken(t *testing.T) {
	for kind, want := range map[Kind]int{Agent: http.StatusTooManyRequests, Sender: http.StatusServiceUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			w := &sink{}
			locate := func(context.Context, string, string) (string, error) { return "42", nil }
			in := func(context.Context, string, string) (bool, error) { return true, nil }
			h := New(one{token: Token{ID: "t", Kind: kind, Droplet: "42"}}, w, Options{Points: 100, Burst: 1000, Locate: locate, InTag: in,
				Mappings: []Mapping{{Metric: "name", Name: "dropleak_x"}}})
			if rec := post(h, points(900)); rec.Code != http.StatusNoContent {
				t.Fatalf("%s within the burst: %d %s", kind, rec.Code, rec.Body)
			}
			rec := post(h, points(900))
			if rec.Code != want || rec.Header().Get("Retry-After") != "8" || w.takes != 1 {
				t.Fatalf("%s beyond it: %d, Retry-After %q, stored %d times; want %d, 8, once", kind, rec.Code, rec.Header().Get("Retry-After"), w.takes, want)
			}
			time.Sleep(8 * time.Second)
			if rec := post(h, points(900)); rec.Code != http.StatusNoContent {
				t.Errorf("%s after the time it was told: %d", kind, rec.Code)
			}
		})
	}
}

// TestTurn: no more writes are unpacked at once than there is room for; the
// rest wait, and are told to come again when that takes long.
func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &sink{gate: make(chan struct{})}
		h := New(one{token: Token{ID: "t", Kind: Agent, Droplet: "42"}}, w, Options{AtWork: 1})
		codes := make(chan int, 2)
		go func() { codes <- post(h, points(1)).Code }()
		synctest.Wait()
		began := time.Now()
		rec := post(h, points(1))
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || time.Since(began) != turnWithin {
			t.Errorf("a write that got no turn: %d after %s", rec.Code, time.Since(began))
		}
		go func() { codes <- post(h, points(1)).Code }()
		synctest.Wait()
		if w.takes != 1 {
			t.Errorf("%d writes at work, want 1", w.takes)
		}
		close(w.gate)
		for range 2 {
			if code := <-codes; code != http.StatusNoContent {
				t.Errorf("a write that got its turn: %d", code)
			}
		}
	})
}

// TestTrickle: a body that does not come holds no place for long.
func TestTrickle(t *testing.T) {
	h := New(one{token: Token{ID: "t", Kind: Agent, Droplet: "42"}}, &sink{}, Options{InFlight: 1, ReadWithin: 50 * time.Millisecond})
	srv := httptest.NewServer(h.Handler())
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Type: application/x-protobuf\r\n"+
		"Content-Encoding: snappy\r\nContent-Length: 1000\r\n\r\nbegin", order.PathWrite)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a body that does not come: %s, want 503", resp.Status)
	}
	if rec := post(h, points(1)); rec.Code != http.StatusNoContent {
		t.Errorf("the next write: %d, want its place free", rec.Code)
	}
}
