package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// passages returns the fenced blocks of a documentation page that carry a
// name after the language.
func passages(t *testing.T, page, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "sources", page))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, part := range strings.Split(string(text), "```") {
		if body, ok := strings.CutPrefix(part, "yaml "+name+"\n"); ok && i%2 == 1 {
			out = append(out, body)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no block %q", page, name)
	}
	return strings.Join(out, "")
}

// growing is a process that looks like a Celery worker and leaks: 60 KiB
// every tenth of a second. The leak is real, the worker is not.
func growing(t *testing.T) {
	t.Helper()
	const program = `import time
held = []
while True:
    held.append(bytearray(60 << 10))
    time.sleep(0.1)
`
	dir := testbed.Folder(t)
	path := filepath.Join(dir, "celery")
	if err := os.WriteFile(path, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	testbed.Start(t, "growing", dir, exec.Command("python3", path, "-A", "app", "worker", "-n", "grower@web-1"))
}

// TestPrometheusStory follows docs/sources/prometheus.md from exporters to
// the report: the server is asked and sends at once, about one worker.
func TestPrometheusStory(t *testing.T) {
	w := newTown(t, 31)
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}})
	growing(t)
	exporter := testbed.ProcessExporter(t, passages(t, "prometheus.md", "process-exporter"))
	secret := filepath.Join(w.dir, "sender.token")
	w.write(secret, w.run("token", "create", "--config", w.config, "--tag", "dropleak", "--name", "prometheus"))
	prom := testbed.PrometheusWith(t, strings.NewReplacer("127.0.0.1:9256", exporter.Addr, "127.0.0.1:8080", w.listen,
		"/etc/prometheus/dropleak.token", secret).Replace("global: {scrape_interval: 1s}\n"+passages(t, "prometheus.md", "prometheus")))
	w.append(strings.ReplaceAll(passages(t, "prometheus.md", "dropleak"), "http://127.0.0.1:9090", prom.URL))
	w.serve()
	w.await(4*time.Minute, "the leak is found", "grower@web-1", dropletName, "Grows")
	said := w.run("sources", "--config", w.config)
	for _, want := range []string{"sender", "prometheus  prometheus", "grower@web-1"} {
		if !strings.Contains(said, want) {
			t.Errorf("sources does not say %q:\n%s", want, said)
		}
	}
	if n := strings.Count(said, "grower@web-1"); n != 2 {
		t.Errorf("the worker is told of by %d sources, want 2:\n%s", n, said)
	}
	prom.Stop()
	testbed.Eventually(t, 30*time.Second, func() error {
		if said = w.run("sources", "--config", w.config); !strings.Contains(said, "does not answer") {
			return fmt.Errorf("sources says\n%s", said)
		}
		return nil
	})
}

// TestExporterStory follows docs/sources/exporters.md.
func TestExporterStory(t *testing.T) {
	w := newTown(t, 32)
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}})
	growing(t)
	processes := testbed.ProcessExporter(t, passages(t, "prometheus.md", "process-exporter"))
	node := testbed.NodeExporter(t)
	w.append(strings.NewReplacer("127.0.0.1:9256", processes.Addr, "127.0.0.1:9100", node.Addr).Replace(passages(t, "exporters.md", "dropleak")))
	w.serve()
	w.await(4*time.Minute, "the leak is found", "grower@web-1", dropletName, "Grows")
	said := w.run("sources", "--config", w.config)
	for _, want := range []string{"web-1-processes", "web-1-memory"} {
		if !strings.Contains(said, want) || strings.Contains(said, want+": ") {
			t.Errorf("sources does not say that %s is well:\n%s", want, said)
		}
	}
}

// append adds to the configuration.
func (w *town) append(text string) {
	w.t.Helper()
	was, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(w.config, string(was)+text)
}
