package testbed

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// PrometheusServer is a Prometheus of the test's own. It takes remote writes, and samples up to an hour late.
type PrometheusServer struct {
	*Process
	URL   string // without a path
	again func() (*Process, error)
}

// StartAgain starts a Prometheus that was stopped, at the same address and with what it has stored.
func (s *PrometheusServer) StartAgain(t testing.TB) {
	t.Helper()
	p, err := s.again()
	if err != nil {
		t.Fatal(err)
	}
	s.Process = p
	t.Cleanup(func() { p.end(t) })
	if err := p.await(t.Context(), answers(t.Context(), s.URL+"/-/ready")); err != nil {
		t.Fatal(err)
	}
}

// Prometheus starts a Prometheus that scrapes the targets (host:port) every second and lives as long as the test.
func Prometheus(t testing.TB, targets ...string) *PrometheusServer {
	t.Helper()
	return PrometheusWith(t, scrapeConfig(targets))
}

// PrometheusWith is [Prometheus] with a configuration (its YAML).
func PrometheusWith(t testing.TB, text string) *PrometheusServer {
	t.Helper()
	dir := Folder(t)
	config := filepath.Join(dir, "prometheus.yml")
	write(t, config, text)
	server := &PrometheusServer{}
	bin := program(t, "prometheus")
	server.Process = onFreePort(t, func(port int) (*Process, func() error, error) {
		listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		server.URL = "http://" + listen
		server.again = func() (*Process, error) {
			return launch("prometheus", dir, exec.Command(bin, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
				"--web.listen-address="+listen, "--web.enable-remote-write-receiver"))
		}
		p, err := server.again()
		return p, answers(t.Context(), server.URL+"/-/ready"), err
	})
	return server
}

// VictoriaMetrics starts a single-node VictoriaMetrics that scrapes the targets (host:port) every second, as job "bed",
// and lives as long as the test. It answers Prometheus' API.
func VictoriaMetrics(t testing.TB, targets ...string) *PrometheusServer {
	t.Helper()
	dir := Folder(t)
	config := filepath.Join(dir, "scrape.yml")
	text := scrapeConfig(targets)
	write(t, config, strings.Replace(text, "storage: {tsdb: {out_of_order_time_window: 1h}}\n", "", 1))
	server := &PrometheusServer{}
	bin := program(t, "victoria-metrics")
	server.Process = onFreePort(t, func(port int) (*Process, func() error, error) {
		listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		server.URL = "http://" + listen
		p, err := launch("victoria-metrics", dir, exec.Command(bin, "-storageDataPath="+filepath.Join(dir, "data"),
			"-httpListenAddr="+listen, "-promscrape.config="+config))
		return p, answers(t.Context(), server.URL+"/health"), err
	})
	return server
}

func scrapeConfig(targets []string) string {
	var b strings.Builder
	b.WriteString("global: {scrape_interval: 1s}\nstorage: {tsdb: {out_of_order_time_window: 1h}}\n")
	if len(targets) > 0 {
		b.WriteString("scrape_configs:\n- job_name: bed\n  static_configs:\n  - targets:\n")
	}
	for _, target := range targets {
		fmt.Fprintf(&b, "    - %q\n", target)
	}
	return b.String()
}

// Exporter is a running Prometheus exporter.
type Exporter struct {
	*Process
	Addr string // host:port on loopback; metrics are at /metrics
}

// NodeExporter starts prometheus-node-exporter with the given further arguments.
func NodeExporter(t testing.TB, args ...string) *Exporter {
	t.Helper()
	return exporter(t, "prometheus-node-exporter", args)
}

// ProcessExporter starts prometheus-process-exporter with the given configuration (its YAML).
func ProcessExporter(t testing.TB, config string, args ...string) *Exporter {
	t.Helper()
	path := filepath.Join(Folder(t), "process-exporter.yml")
	write(t, path, config)
	return exporter(t, "prometheus-process-exporter", append([]string{"-config.path", path}, args...))
}

func exporter(t testing.TB, name string, args []string) *Exporter {
	t.Helper()
	dir := Folder(t)
	e := &Exporter{}
	bin := program(t, name)
	e.Process = onFreePort(t, func(port int) (*Process, func() error, error) {
		e.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		p, err := launch(name, dir, exec.Command(bin, append(args, "--web.listen-address="+e.Addr)...))
		return p, answers(t.Context(), "http://"+e.Addr+"/metrics"), err
	})
	return e
}
