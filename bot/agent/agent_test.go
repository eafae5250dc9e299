package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
