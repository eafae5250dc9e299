package rivals

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// prometheus fills a Prometheus with six hours of n series and evaluates the
// two usual rules once, as an hourly rule group would.
func prometheus(t *testing.T, n int) {
	dir := t.TempDir()
	end := time.Now().Add(-time.Minute).Truncate(time.Minute)
	writeOpenMetrics(t, filepath.Join(dir, "series.om"), n, end)
	run := exec.Command("promtool", "tsdb", "create-blocks-from", "openmetrics", filepath.Join(dir, "series.om"), filepath.Join(dir, "data"))
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("fill Prometheus: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "p.yml"), []byte("global: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	address := freeAddress(t)
	server := exec.CommandContext(ctx, "prometheus", "--config.file="+filepath.Join(dir, "p.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--storage.tsdb.retention.time=10y", "--query.timeout=10m", "--query.max-samples=500000000", "--web.listen-address="+address)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); server.Wait() }() //nolint:errcheck // it was killed
	base := "http://" + address
	awaitReady(t, base)
	for _, rule := range []string{"count(predict_linear(memory[6h], 86400) >= 1073741824)", "count(deriv(memory[6h]) * 3600 >= 1000000)"} {
		before := procCPU(t, server.Process.Pid)
		body := get(t, base+"/api/v1/query?query="+url.QueryEscape(rule)+"&time="+strconv.FormatInt(end.Unix(), 10))
		used := procCPU(t, server.Process.Pid) - before
		t.Logf("Prometheus, %s over %d series, 6 h of samples: %.1f CPU-s, %.0f for %d; resident %s; says %s", rule, n, used.Seconds(),
			used.Seconds()*fleetSize/float64(n), fleetSize, procRSS(t, server.Process.Pid), strings.TrimSpace(body))
	}
}

func writeOpenMetrics(t *testing.T, path string, n int, end time.Time) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	b := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(b, "# TYPE memory gauge")
	for i := range n {
		r, slope := rand.New(rand.NewPCG(uint64(i), 17)), 0.0
		if i%20 == 0 {
			slope = 2e6
		}
		for m := -370; m <= 0; m++ {
			fmt.Fprintf(b, "memory{worker=\"%d\"} %.0f %d\n", i, 1e8+slope*float64(m)/60+1e5*r.Float64(), end.Add(time.Duration(m)*time.Minute).Unix())
		}
	}
	fmt.Fprintln(b, "# EOF")
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// freeAddress is a loopback address that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it only found the port
	return l.Addr().String()
}

func awaitReady(t *testing.T, base string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if r, err := http.Get(base + "/-/ready"); err == nil {
			r.Body.Close() //nolint:errcheck // only its status counts
			if r.StatusCode == http.StatusOK {
				return
			}
		}
		runtime.Gosched() // a real process is awaited: there is no event to wait for
	}
	t.Fatal("prometheus was not ready within two minutes")
}

func get(t *testing.T, at string) string {
	t.Helper()
	r, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("query: %s %v %s", r.Status, err, body)
	}
	return string(body)
}

// procCPU is the user and system time of a process, from its stat file; a
// tick is 10 ms.
func procCPU(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')'):]))
	user, errU := strconv.Atoi(f[12])
	system, errS := strconv.Atoi(f[13])
	if errU != nil || errS != nil {
		t.Fatalf("stat of %d: %v %v", pid, errU, errS)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

func procRSS(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}
