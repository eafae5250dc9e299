package doclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// canned is a RoundTripper made of a function.
type canned func(*http.Request) (*http.Response, error)

func (f canned) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// says answers every request alike.
func says(status int, contentType, body string) canned {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), Request: r,
			Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

func reader(t testing.TB, rt http.RoundTripper) *doclient.Reader {
	t.Helper()
	r, err := doclient.NewReader(doclient.Options{Token: doclient.StaticToken(readToken), Transport: rt})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func matrix(values string) string {
	return `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"host_id":"42"},"values":[` + values + `]}]}}`
}

func TestImpossibleSamplesAreDropped(t *testing.T) {
	tests := []struct {
		name, body string
		want       []int64 // bytes
		err        string
	}{
		{"documented example", matrix(`[1635386880,"1028956160"],[1635387000,"1028956161"]`), []int64{1028956160, 1028956161}, ""},
		{"NaN", matrix(`[1,"NaN"],[2,"7"]`), []int64{7}, ""},
		{"null", matrix(`null,[2,"7"]`), []int64{7}, ""},
		{"zero, negative, infinite", matrix(`[1,"0"],[2,"-5"],[3,"+Inf"],[4,"1e300"],[5,"7"]`), []int64{7}, ""},
		{"out of order and twice", matrix(`[3,"30"],[1,"10"],[3,"31"],[2,"20"]`), []int64{10, 20, 31}, ""},
		{"nothing but NaN", matrix(`[1,"NaN"]`), nil, "metrics agent missing"},
		{"no result", `{"status":"success","data":{"resultType":"matrix","result":[]}}`, nil, "metrics agent missing"},
		{"null result", `{"status":"success","data":{"resultType":"matrix","result":null}}`, nil, "metrics agent missing"},
		{"another host", strings.ReplaceAll(matrix(`[1,"7"]`), "42", "43"), nil, "answer is about host 43"},
		{"failed query", `{"status":"error","data":{"resultType":"matrix","result":[]}}`, nil, `with status "error"`},
		{"empty object", `{}`, nil, `with status ""`},
		{"a number for text", matrix(`[1,7]`), nil, "cannot be read"},
		{"cut short", matrix(`[1,"7"]`)[:60], nil, "cannot be read"},
		{"HTML", `<html>ok</html>`, nil, "cannot be read"},
	}
	for _, tt := range tests {
		m, err := reader(t, says(200, "application/json", tt.body)).Memory(t.Context(), 42, time.Unix(0, 0), time.Unix(9, 0))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
			}
			if agent := strings.Contains(tt.err, "agent"); agent != errors.Is(err, doclient.ErrNoData) {
				t.Errorf("%s: ErrNoData is %v", tt.name, !agent)
			}
			continue
		}
		var got []int64
		for _, s := range m.Available {
			got = append(got, s.Bytes)
		}
		if err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("%s: %v %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestWindowMustBeOne(t *testing.T) {
	r := reader(t, canned(func(*http.Request) (*http.Response, error) { panic("sent") }))
	if _, err := r.Memory(t.Context(), 0, time.Unix(1, 0), time.Unix(2, 0)); err == nil {
		t.Error("droplet 0 was asked about")
	}
	if _, err := r.Memory(t.Context(), 42, time.Unix(2, 0), time.Unix(1, 0)); err == nil {
		t.Error("a window that ends before it begins was asked for")
	}
}

func TestSilentAgentIsNoData(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.SetAgent(web1, false)
		for _, id := range []int64{web1, 99} { // one without agent, one that does not exist
			if _, err := w.reader.Memory(ctx, id, time.Now().Add(-time.Hour), time.Now()); !errors.Is(err, doclient.ErrNoData) {
				t.Errorf("droplet %d: %v", id, err)
			}
		}
	})
}

// One request a poll; memory_total again only after six hours, or when the
// droplet was made larger.
func TestTotalIsFetchedRarely(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.Kind()
		size, began := int64(1000), time.Now()
		w.AddDroplet(dosim.Droplet{ID: web1, Created: began.Add(-time.Hour), Memory: func(time.Time) (int64, int64) { return size / 2, size }})
		poll := func() doclient.Memory {
			m, err := w.reader.Memory(ctx, web1, time.Now().Add(-4*time.Minute), time.Now())
			check(t, err)
			return m
		}
		totals := func() int { return len(w.Requests("GET", "/v2/monitoring/metrics/droplet/memory_total")) }
		for range 10 {
			m := poll()
			if last := m.Total[len(m.Total)-1]; last.Bytes != 1000 {
				t.Fatalf("total %v", m.Total)
			}
			time.Sleep(2 * time.Minute)
		}
		if totals() != 1 {
			t.Errorf("memory_total fetched %d times in 20 minutes", totals())
		}
		size = 4000
		if m := poll(); m.Total[len(m.Total)-1].Bytes != 4000 || totals() != 2 {
			t.Errorf("after a resize: total %v, fetched %d times", m.Total, totals())
		}
		time.Sleep(6 * time.Hour)
		ctx = context.Background()
		if poll(); totals() != 3 {
			t.Errorf("after six hours: fetched %d times", totals())
		}
	})
}

// A total that was not there is not remembered as known.
func TestMissingTotalIsAskedAgain(t *testing.T) {
	asked := 0
	r := reader(t, canned(func(req *http.Request) (*http.Response, error) {
		if !strings.Contains(req.URL.Path, "memory_total") {
			return says(200, "application/json", matrix(`[1,"7"]`))(req)
		}
		asked++
		if asked == 1 {
			return says(200, "application/json", matrix(`[1,"NaN"]`))(req)
		}
		return says(200, "application/json", matrix(`[1,"9"]`))(req)
	}))
	for i, want := range []int{0, 1, 1} {
		m, err := r.Memory(t.Context(), 42, time.Unix(0, 0), time.Unix(9, 0))
		if err != nil || len(m.Total) != want {
			t.Errorf("poll %d: total %v %v", i, m.Total, err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

func TestWindow(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	const overlap, most = 10 * time.Minute, 14 * 24 * time.Hour
	tests := []struct {
		name string
		have time.Time
		back time.Duration // from is that much before now
	}{
		{"nothing held", time.Time{}, most},
		{"ordinary", now.Add(-2 * time.Minute), 12 * time.Minute},
		{"after an outage", now.Add(-3 * time.Hour), 3*time.Hour + overlap},
		{"after a month", now.Add(-31 * 24 * time.Hour), most},
		{"a clock set back", now.Add(time.Hour), overlap},
	}
	for _, tt := range tests {
		from, to := doclient.Window(tt.have, now, overlap, most)
		if !to.Equal(now) || now.Sub(from) != tt.back {
			t.Errorf("%s: %v to %v, want %v back", tt.name, from, to, tt.back)
		}
	}
}

// Pulling only what is new, with overlap, misses no point, even those that
// show up late.
func TestIncrementalPullMissesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		got, began := map[int64]bool{}, time.Now()
		w.AddDroplet(dosim.Droplet{ID: web1, Created: began})
		var have time.Time
		for time.Since(began) < 50*time.Minute {
			time.Sleep(97 * time.Second)
			from, to := doclient.Window(have, time.Now(), 5*time.Minute, time.Hour)
			m, err := w.reader.Memory(ctx, web1, from, to)
			check(t, err)
			for _, s := range m.Available {
				got[s.At.Unix()], have = true, s.At
			}
		}
		for at := began; at.Before(have); at = at.Add(2 * time.Minute) {
			if !got[at.Unix()] {
				t.Errorf("missed the point at minute %v", at.Sub(began))
			}
		}
		if len(got) < 24 {
			t.Errorf("%d points in 50 minutes", len(got))
		}
	})
}

func TestSpans(t *testing.T) {
	at := func(h int) time.Time { return time.Unix(int64(h)*3600, 0) }
	tests := []struct {
		from, to int
		size     time.Duration
		want     string
	}{
		{0, 24, 24 * time.Hour, "0-24"},
		{0, 60, 24 * time.Hour, "36-60 12-36 0-12"},
		{5, 5, time.Hour, ""},
		{6, 5, time.Hour, ""},
		{0, 5, 0, ""},
	}
	for _, tt := range tests {
		var got []string
		for _, s := range doclient.Spans(at(tt.from), at(tt.to), tt.size) {
			got = append(got, fmt.Sprintf("%d-%d", s.From.Unix()/3600, s.To.Unix()/3600))
		}
		if g := strings.Join(got, " "); g != tt.want {
			t.Errorf("%d to %d by %v: %s, want %s", tt.from, tt.to, tt.size, g, tt.want)
		}
	}
}

func FuzzMemoryAnswer(f *testing.F) {
	for _, seed := range []string{
		matrix(`[1635386880,"1028956160"]`), matrix(`null`), matrix(`[1,"NaN"],[2,"1e99"]`), `{}`, `[]`, ``, `<html>`,
		`{"status":"success","data":{"result":[{"metric":null,"values":[[1.5,"2"],[-1,"2"]]}]}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		m, err := reader(t, says(200, "application/json", body)).Memory(t.Context(), 42, time.Unix(0, 0), time.Unix(9, 0))
		if err == nil && len(m.Available) == 0 {
			t.Error("no samples and no error")
		}
		for i, s := range m.Available {
			if s.Bytes < 1 || s.At.IsZero() || (i > 0 && !s.At.After(m.Available[i-1].At)) {
				t.Errorf("sample %d of %v", i, m.Available)
			}
		}
	})
}
