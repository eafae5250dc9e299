package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/dropleak/dropleak/detector/procfs"
	"github.com/dropleak/dropleak/detector/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheck(t *testing.T) {
	good := Options{Server: "https://ops.example.com", TokenFile: "t", Spool: "s", SpoolMax: 1 << 20, Every: time.Second}
	for _, tt := range []struct {
		name string
		set  func(*Options)
		want string
	}{
		{"good", func(*Options) {}, ""},
		{"no server", func(o *Options) { o.Server = "" }, "--server"},
		{"no scheme", func(o *Options) { o.Server = "ops.example.com" }, "no address"},
		{"clear text", func(o *Options) { o.Server = "http://ops.example.com" }, "--insecure"},
		{"clear text to a name like loopback", func(o *Options) { o.Server = "http://localhost.example.com" }, "--insecure"},
		{"clear text on loopback", func(o *Options) { o.Server = "http://127.0.0.1:8080" }, ""},
		{"clear text on loopback v6", func(o *Options) { o.Server = "http://[::1]:8080" }, ""},
		{"clear text, told so", func(o *Options) { o.Server, o.Insecure = "http://10.0.0.1", true }, ""},
		{"path", func(o *Options) { o.Server = "https://ops.example.com/api" }, "host and port only"},
		{"password", func(o *Options) { o.Server = "https://u:hunter2@ops.example.com" }, "host and port only"},
		{"no token", func(o *Options) { o.TokenFile = "" }, "--token-file"},
		{"no spool", func(o *Options) { o.Spool = "" }, "--spool"},
		{"tiny spool", func(o *Options) { o.SpoolMax = 1 }, "--spool-max"},
		{"too often", func(o *Options) { o.Every = time.Millisecond }, "--every"},
	} {
		o := good
		tt.set(&o)
		err := check(o)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the password", tt.name)
		}
	}
}

// TestMachineID compares with systemd's own tool where the id is readable.
func TestMachineID(t *testing.T) {
	app := fmt.Sprintf("%x", appID)
	want, err := exec.Command("systemd-id128", "machine-id", "--app-specific="+app).Output()
	if err != nil {
		t.Fatalf("systemd-id128: %v", err)
	}
	got, err := machineID("/etc/machine-id")
	if err != nil || got != strings.TrimSpace(string(want)) {
		t.Errorf("id %s, %v; systemd says %s", got, err, want)
	}
	if _, err := hashMachineID("uninitialized", appID); err == nil {
		t.Error("no id became an id")
	}
}

func TestMetadata(t *testing.T) {
	for body, want := range map[string]string{"12345\n": "12345", "": "", "<html>": "", "12 34": ""} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
		got, err := askMetadata(t.Context(), s.Client(), s.URL)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: id %q, %v", body, got, err)
		}
		s.Close()
	}
}

func TestGrid(t *testing.T) {
	at := time.UnixMilli(1_700_000_012_345)
	for every, want := range map[time.Duration]int64{time.Minute: 1_700_000_040_000, 10 * time.Second: 1_700_000_020_000, 1500 * time.Millisecond: 1_700_000_013_000} {
		if got := next(at, every).UnixMilli(); got != want || got%every.Milliseconds() != 0 {
			t.Errorf("every %s: %d, want %d", every, got, want)
		}
	}
	if got := next(time.UnixMilli(60_000), time.Minute).UnixMilli(); got != 120_000 {
		t.Errorf("on the grid itself: %d, want the next", got)
	}
}

func TestWire(t *testing.T) {
	series := []sample.Series{
		{Labels: []sample.Label{{Name: "__name__", Value: "m"}, {Name: "worker", Value: "w"}}, Points: []sample.Point{{At: -5, V: 1.5}, {At: 7, V: math.Inf(1)}}},
		{Labels: []sample.Label{{Name: "__name__", Value: "n"}}, Points: []sample.Point{{At: 1, V: sample.StaleMarker()}}},
	}
	raw, err := encodeV2(series)
	must(t, err)
	req, err := decodeV2(raw)
	must(t, err)
	if d := cmp.Diff(series, fromV2(req), cmpopts.EquateNaNs()); d != "" {
		t.Errorf("2.0 (-want +got):\n%s", d)
	}
	v1 := fromV1(t, toV1(req))
	if d := cmp.Diff(series, v1, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("1.0 (-want +got):\n%s", d)
	}
	if !sample.IsStale(v1[1].Points[0].V) || !sample.IsStale(fromV2(req)[1].Points[0].V) {
		t.Error("the stale marker lost its bits")
	}
}

func FuzzDecodeV2(f *testing.F) {
	raw, err := encodeV2([]sample.Series{{Labels: []sample.Label{{Name: "a", Value: "b"}}, Points: []sample.Point{{At: 1, V: 2}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if req, err := decodeV2(raw); err == nil {
			toV1(req)
		}
	})
}

// shipping is a spool and a shipper toward a service, without an agent.
func shipping(t *testing.T, s *service) (*spool, *shipper, *bytes.Buffer) {
	log := &bytes.Buffer{}
	l := slog.New(slog.NewTextHandler(log, nil))
	sp := open(t, filepath.Join(t.TempDir(), "spool"), 1<<20)
	w := &wire{next: &http.Transport{DisableKeepAlives: true}, token: func() (string, error) { return "secret", nil }, identity: &identity{boot: "b"}, log: l}
	sh, err := newShipper(sp, s.URL, w, l)
	must(t, err)
	return sp, sh, log
}

func onePass(t *testing.T, n int64) []byte {
	raw, err := encodeV2([]sample.Series{{Labels: []sample.Label{{Name: "__name__", Value: "up"}}, Points: []sample.Point{{At: n, V: 1}}}})
	must(t, err)
	return raw
}

// ship runs the shipper until the service holds n series, and returns the
// order they came in.
func ship(t *testing.T, s *service, sh *shipper, n int) []int64 {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); sh.run(ctx) }()
	s.await(5*time.Minute, fmt.Sprint(n, " series"), func() bool {
		waiting, _ := sh.spool.waiting()
		return len(s.series) >= n && waiting == 0
	})
	cancel()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	var at []int64
	for _, x := range s.series {
		at = append(at, x.Points[0].At)
	}
	return at
}

func TestShipLosesNothingWhileAway(t *testing.T) {
	s := newService(t)
	failures := 3
	s.refuse = func(*http.Request) int {
		if failures > 0 {
			failures--
			return http.StatusServiceUnavailable
		}
		return 0
	}
	sp, sh, _ := shipping(t, s)
	for i := range 5 {
		must(t, sp.append(onePass(t, int64(i))))
	}
	if got := fmt.Sprint(ship(t, s, sh, 5)); got != "[0 1 2 3 4]" {
		t.Errorf("arrived %s", got)
	}
	if n, lost := sp.waiting(); n != 0 || lost != 0 {
		t.Errorf("%d wait, %d lost", n, lost)
	}
}

func TestShipFallsBackTo1(t *testing.T) {
	s := newService(t)
	s.only1 = true
	sp, sh, _ := shipping(t, s)
	for i := range 3 {
		must(t, sp.append(onePass(t, int64(i))))
	}
	if got := fmt.Sprint(ship(t, s, sh, 3)); got != "[0 1 2]" {
		t.Errorf("arrived %s", got)
	}
	if len(s.requests) != 4 {
		t.Errorf("%d requests, want 2.0 tried once and 1.0 three times", len(s.requests))
	}
}

// TestShipDropsOnlyTheHopeless: a bad pass must not block the good ones, a
// wrong token must not lose any.
func TestShipDropsOnlyTheHopeless(t *testing.T) {
	s := newService(t)
	first := true
	s.refuse = func(*http.Request) int {
		if first {
			first = false
			return http.StatusBadRequest
		}
		return 0
	}
	sp, sh, log := shipping(t, s)
	must(t, sp.append(onePass(t, 0)))
	must(t, sp.append(onePass(t, 1)))
	if got := fmt.Sprint(ship(t, s, sh, 1)); got != "[1]" || !strings.Contains(log.String(), "dropped") {
		t.Errorf("arrived %s, log %s", got, log)
	}
	s.mu.Lock()
	denied := 2
	s.refuse = func(*http.Request) int {
		if denied > 0 {
			denied--
			return http.StatusUnauthorized
		}
		return 0
	}
	s.mu.Unlock()
	must(t, sp.append(onePass(t, 2)))
	if got := fmt.Sprint(ship(t, s, sh, 2)); got != "[1 2]" {
		t.Errorf("arrived %s after a wrong token", got)
	}
}

func TestClockSkew(t *testing.T) {
	log := &bytes.Buffer{}
	w := &wire{log: slog.New(slog.NewTextHandler(log, nil))}
	now := time.Now()
	date := func(d time.Duration) string { return now.Add(d).UTC().Format(http.TimeFormat) }
	w.clock(date(10*time.Second), now, now.Add(time.Millisecond))
	if log.Len() != 0 {
		t.Errorf("warned about ten seconds: %s", log)
	}
	w.clock(date(2*time.Minute), now, now)
	w.clock(date(2*time.Minute), now, now)
	if strings.Count(log.String(), "level=WARN") != 1 {
		t.Errorf("two minutes off: %q, want one warning", log)
	}
	if d := time.Until(w.now()); d < 118*time.Second || d > 122*time.Second {
		t.Errorf("service's time is %s ahead, want two minutes", d)
	}
	w.clock(date(time.Hour), now, now.Add(30*time.Second)) // a long poll's header is old
	if w.skew > 3*time.Minute {
		t.Error("a long poll was believed")
	}
	w.clock(date(0), now, now)
	if !strings.Contains(log.String(), "agree again") {
		t.Errorf("log %q", log)
	}
}

func TestTokenNeverLeavesForAnotherHost(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the token went to another host: %v", r.Header) }))
	defer other.Close()
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	w := &wire{next: &http.Transport{DisableKeepAlives: true}, token: func() (string, error) { return "secret", nil }, identity: &identity{}, log: slog.New(slog.DiscardHandler)}
	o := &orders{server: s.URL, http: w.client(time.Second)}
	if _, err := o.poll(t.Context()); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("poll: %v", err)
	}
}

func TestTokenIsReadAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	read := tokenFrom(file)
	if _, err := read(); err == nil {
		t.Error("no file, no error")
	}
	for text, want := range map[string]string{"abc\n": "abc", " d \n": "d", "": "", "a b": ""} {
		must(t, os.WriteFile(file, []byte(text), 0o600))
		if got, err := read(); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func node(pid int, children ...int) procfs.Node {
	n := procfs.Node{Members: []procfs.Member{{PID: pid}}}
	for _, c := range children {
		n.Members = append(n.Members, procfs.Member{PID: c})
	}
	return n
}

func TestBudget(t *testing.T) {
	const mib = 1 << 20
	small, at := node(1, 2), time.Unix(1_700_000_000, 0)
	pass := func(b *budget, n procfs.Node, rss []float64, cost time.Duration) bool {
		at = at.Add(time.Minute)
		b.begin(at)
		ok := b.want(n, rss)
		r := procfs.Reading{Nodes: []procfs.Node{n}, Cost: map[int]time.Duration{}}
		if ok {
			for _, m := range n.Members {
				r.Cost[m.PID] = cost
			}
		}
		b.end(r)
		return ok
	}
	count := func(b *budget, n procfs.Node, rss float64, cost time.Duration) int {
		yes := 0
		for range 60 {
			all := make([]float64, len(n.Members))
			for i := range all {
				all[i] = rss
			}
			if pass(b, n, all, cost) {
				yes++
			}
		}
		return yes
	}
	if got := count(&budget{}, small, 200*mib, 7*time.Millisecond); got != 60 {
		t.Errorf("200 MiB: %d of 60 passes with PSS, want all", got)
	}
	if got := count(&budget{}, small, 200*mib, 25*time.Millisecond); got < 6 || got > 7 {
		t.Errorf("over 20 ms a process: %d of 60, want one in ten minutes", got)
	}
	if got := count(&budget{}, small, 1500*mib, time.Millisecond); got < 6 || got > 7 {
		t.Errorf("above 1 GiB: %d of 60, want one in ten minutes", got)
	}
	if got := count(&budget{}, small, 5<<30, time.Millisecond); got != 0 {
		t.Errorf("above 4 GiB: %d of 60, want none", got)
	}
	if got := count(&budget{huge: true}, small, 5<<30, 100*time.Millisecond); got < 6 || got > 7 {
		t.Errorf("above 4 GiB, enabled: %d of 60, want one in ten minutes", got)
	}
	crowd := node(1)
	for i := range 99 {
		crowd.Members = append(crowd.Members, procfs.Member{PID: 2 + i})
	}
	// A hundred processes at 15 ms are 1.5 s; one percent of a minute is
	// 0.6 s: two passes in five.
	if got := count(&budget{}, crowd, 300*mib, 15*time.Millisecond); got < 20 || got > 26 {
		t.Errorf("1 %% of wall time: %d of 60 passes, want about 24", got)
	}
}

// TestBudgetServesAll: where credit is short, workers take turns.
func TestBudgetServesAll(t *testing.T) {
	b := &budget{}
	at := time.Unix(1_700_000_000, 0)
	served := map[int]int{}
	for range 60 {
		at = at.Add(time.Minute)
		b.begin(at)
		r := procfs.Reading{Cost: map[int]time.Duration{}}
		for pid := range 4 {
			n := node(1 + pid*100)
			for c := range 24 {
				n.Members = append(n.Members, procfs.Member{PID: 2 + pid*100 + c})
			}
			rss := make([]float64, len(n.Members))
			for i := range rss {
				rss[i] = 400 << 20
			}
			if b.want(n, rss) {
				served[pid]++
				for _, m := range n.Members {
					r.Cost[m.PID] = 15 * time.Millisecond
				}
			}
			r.Nodes = append(r.Nodes, n)
		}
		b.end(r)
	}
	for pid := range 4 {
		if served[pid] < 15 {
			t.Errorf("worker %d served %d of 60 times: %v", pid, served[pid], served)
		}
	}
}

// TestBudgetSavesForTheCostly: cheap workers that use up the credit of each
// pass must not keep a costly one waiting for ever.
// TestBudgetOfALongSleep: what a droplet that slept did not spend is not all
// spent when it wakes.
func TestBudgetOfALongSleep(t *testing.T) {
	b := &budget{}
	at := time.Unix(1_700_000_000, 0)
	for after, want := range map[time.Duration]time.Duration{5 * time.Minute: 3600 * time.Millisecond, 10 * time.Hour: 6 * time.Second} {
		*b = budget{}
		b.begin(at)
		if b.begin(at.Add(after)); b.credit != want {
			t.Errorf("after %v there is room for %v of reading, want %v", after, b.credit, want)
		}
	}
}

func TestBudgetSavesForTheCostly(t *testing.T) {
	b := &budget{}
	at := time.Unix(1_700_000_000, 0)
	crowd := func(pid, children int) (procfs.Node, []float64) {
		n := node(pid)
		for c := range children {
			n.Members = append(n.Members, procfs.Member{PID: pid + 1 + c})
		}
		rss := make([]float64, len(n.Members))
		for i := range rss {
			rss[i] = 400 << 20
		}
		return n, rss
	}
	cheap, cheapRSS := crowd(1, 38)       // 39 × 15 ms of the 600 ms a minute
	costly, costlyRSS := crowd(1000, 199) // 3 s
	served := 0
	for range 60 {
		at = at.Add(time.Minute)
		b.begin(at)
		r := procfs.Reading{Nodes: []procfs.Node{cheap, costly}, Cost: map[int]time.Duration{}}
		for i, n := range r.Nodes {
			if b.want(n, [][]float64{cheapRSS, costlyRSS}[i]) {
				if n.Main().PID == 1000 {
					served++
				}
				for _, m := range n.Members {
					r.Cost[m.PID] = 15 * time.Millisecond
				}
			}
		}
		b.end(r)
	}
	if served < 5 {
		t.Errorf("the costly worker was read %d times in an hour", served)
	}
}

func TestStaleMarkers(t *testing.T) {
	w := newWorld()
	s := &sampler{reader: procfs.New(staged{w}, nil)}
	at := time.Unix(bootTime+5000, 0)
	take := func() []sample.Series {
		at = at.Add(time.Minute)
		p, _, err := s.take(at, "42")
		must(t, err)
		all, notes := s.series(p)
		if len(notes) > 0 {
			t.Error(notes)
		}
		return all
	}
	stale := func(all []sample.Series) (out []string) {
		for _, x := range all {
			if sample.IsStale(x.Points[0].V) {
				out = append(out, x.Name())
			}
		}
		return out
	}
	if got := stale(take()); got != nil {
		t.Errorf("first pass ends %v", got)
	}
	w.running = false
	got := stale(take())
	if len(got) == 0 || !strings.Contains(fmt.Sprint(got), "dropleak_process_memory_bytes") || !strings.Contains(fmt.Sprint(got), "dropleak_worker_info") {
		t.Errorf("a gone worker ends %v", got)
	}
	if got := stale(take()); got != nil {
		t.Errorf("ended twice: %v", got)
	}
}

// TestNotesAreToldAgain: what is missing all the time is told once; what came
// back and is missing again, twice.
func TestNotesAreToldAgain(t *testing.T) {
	var log bytes.Buffer
	n := teller{log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, notes := range [][]string{{"x"}, {"x", "y"}, {}, {"x"}} {
		n.tell(notes)
	}
	if x, y := strings.Count(log.String(), "msg=x"), strings.Count(log.String(), "msg=y"); x != 2 || y != 1 {
		t.Errorf("x was told %d times and y %d, want 2 and 1:\n%s", x, y, log.String())
	}
}

// TestSampleLoopKeepsTheGrid runs the loop on fake time.
func TestSampleLoopKeepsTheGrid(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sp := open(t, dir, 1<<20)
		a := &Agent{opts: Options{Every: 10 * time.Second, Log: slog.New(slog.DiscardHandler)}, id: &identity{droplet: "42"}, spool: sp,
			sampler: &sampler{reader: procfs.New(staged{newWorld()}, nil)}}
		ctx, cancel := context.WithTimeout(t.Context(), 65*time.Second)
		defer cancel()
		time.Sleep(3 * time.Second)
		a.sampleLoop(ctx)
		n := 0
		for body := sp.next(); body != nil; body = sp.next() {
			req, err := decodeV2(body)
			must(t, err)
			for _, s := range fromV2(req) {
				if s.Points[0].At%10_000 != 0 {
					t.Errorf("%s at %d, off the grid", s.Name(), s.Points[0].At)
				}
			}
			n++
			sp.done(body)
		}
		if n != 6 {
			t.Errorf("%d passes in 65 s, want 6", n)
		}
	})
}
