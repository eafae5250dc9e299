package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// TestExporterStory follows the first half of docs/sources/exporters.md: as
// the user that Debian runs the exporters as, up to the report.
func TestExporterStory(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 32)
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}})
	packaged(t, "exporters.md", "install")
	growing(t, "grower@web-1")
	processes := w.installedExporter()
	node := testbed.NodeExporter(t)
	w.append(strings.NewReplacer("127.0.0.1:9256", processes, "127.0.0.1:9100", node.Addr).Replace(passages(t, "exporters.md", "dropleak")))
	w.serve()
	w.await(2*testbed.Patience, "the leak is found", "grower@web-1", dropletName, "Grows")
	w.figures("grower@web-1")
	said := w.follow("exporters.md", "look")
	for _, want := range []string{"web-1-processes", "web-1-memory"} {
		if !strings.Contains(said, want) || strings.Contains(said, want+": ") {
			t.Errorf("sources does not say that %s is well:\n%s", want, said)
		}
	}
}

// installedExporter starts process-exporter as its package does: as its user,
// with the words of the page's file of defaults. It returns its address.
func (w *town) installedExporter() (addr string) {
	w.t.Helper()
	addr = freePort(w.t)
	dir := testbed.Folder(w.t)
	config := filepath.Join(dir, "process-exporter.yml")
	w.write(config, passages(w.t, "exporters.md", "process-exporter"))
	w.write(filepath.Join(dir, "defaults"), strings.NewReplacer("/etc/prometheus/process-exporter.yml", config, "127.0.0.1:9256", addr).Replace(
		passages(w.t, "exporters.md", "defaults")))
	cmd := exec.Command("sh", "-ec", "chmod 755 . && chmod 644 * && . ./defaults && exec setpriv --reuid prometheus --regid prometheus --clear-groups prometheus-process-exporter $ARGS")
	cmd.Dir = dir
	testbed.Start(w.t, "process-exporter", dir, cmd)
	w.answers("http://" + addr + "/metrics")
	return addr
}

// answers waits for a page.
func (w *town) answers(url string) {
	w.t.Helper()
	testbed.Eventually(w.t, testbed.Patience, func() error {
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, resp.Status)
		}
		return nil
	})
}

// TestPythonStory follows the second half of docs/sources/exporters.md: two
// real workers show their own pages by Debian's Python client. One, a single
// process, is scraped; the other's pool tells of each process, through a real
// Prometheus. Both leaks are found, and a page that tells no memory is told.
func TestPythonStory(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 35)
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}})
	w.faster(960)
	packaged(t, "exporters.md", "python")
	app := testbed.Celery(t, testbed.Redis(t))
	page, pages, bare := freePort(t), freePort(t), freePort(t)
	w.module(app, "page", page, passages(t, "exporters.md", "page"))
	w.module(app, "pages", pages, passages(t, "exporters.md", "pages"))
	folder := w.multiproc(passages(t, "exporters.md", "multiproc"))
	app.Start(t, testbed.Worker{Name: "mail@web-1", Pool: "solo", Queue: "mail", Args: []string{"-I", "page"}})
	app.Start(t, testbed.Worker{Name: "video@web-1", Queue: "video", Args: []string{"-I", "pages"}, Env: []string{folder}})
	app.Feed(t, testbed.Load{Task: testbed.Leak, Amount: 600 << 10, Every: 100 * time.Millisecond, Queue: "mail"})
	app.Feed(t, testbed.Load{Task: testbed.Leak, Amount: 600 << 10, Every: 50 * time.Millisecond, Queue: "video"})
	w.bare(bare)
	prom := testbed.PrometheusWith(t, strings.ReplaceAll("global: {scrape_interval: 1s}\n"+passages(t, "exporters.md", "prometheus"), "127.0.0.1:9201", pages))
	w.append(strings.ReplaceAll(passages(t, "exporters.md", "python-dropleak"), "127.0.0.1:9200", page))
	w.append(strings.NewReplacer("sources:\n", "", "http://127.0.0.1:9090", prom.URL).Replace(passages(t, "exporters.md", "prometheus-dropleak")))
	w.append("  - {type: exporter, name: bare, url: \"http://" + bare + "/metrics\", droplet: web-1, worker: bare@web-1, every: 30s}\n")
	w.serve()
	w.await(4*testbed.Patience, "the leak of one process is found", "mail@web-1", dropletName, "Grows")
	w.await(4*testbed.Patience, "the leak of the pool is found", "video@web-1", dropletName, "Grows")
	w.figures("video@web-1")
	said := w.follow("exporters.md", "look")
	if !strings.Contains(said, "bare: has no data for any metric that is known here") {
		t.Errorf("sources does not say that a page tells no memory:\n%s", said)
	}
	if n := w.pids("video@web-1"); n < 3 {
		t.Errorf("%d processes of the pool are told apart, want 2 and their parent:\n%s", n, said)
	}
}

// module puts a block of the page beside the application, on a port of the
// test's own.
func (w *town) module(app *testbed.CeleryApp, name, addr, text string) {
	w.t.Helper()
	_, port, _ := strings.Cut(addr, ":")
	w.write(filepath.Join(app.Dir, name+".py"), strings.NewReplacer("9200", port, "9201", port).Replace(text))
}

// multiproc is the environment that the page's unit gives, with a folder of
// the test's own.
func (w *town) multiproc(unit string) string {
	w.t.Helper()
	_, rest, ok := strings.Cut(unit, "Environment=")
	name, folder, is := strings.Cut(strings.TrimSpace(rest), "=")
	if !ok || !is || !strings.Contains(unit, "RuntimeDirectory="+filepath.Base(folder)+"\n") {
		w.t.Fatalf("the unit gives no folder:\n%s", unit)
	}
	return name + "=" + testbed.Folder(w.t)
}

// bare shows a page by the client's collector for several processes alone.
func (w *town) bare(addr string) {
	w.t.Helper()
	_, port, _ := strings.Cut(addr, ":")
	const program = `import sys, time
from prometheus_client import CollectorRegistry, Counter, multiprocess, start_http_server
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry, path=sys.argv[2])
start_http_server(int(sys.argv[1]), addr="127.0.0.1", registry=registry)
while True:
    time.sleep(60)
`
	cmd := exec.Command("/usr/bin/python3", "-c", program, port, testbed.Folder(w.t))
	testbed.Start(w.t, "bare", w.dir, cmd)
	w.answers("http://" + addr + "/metrics")
}

// pids counts the processes that history tells apart in a worker.
func (w *town) pids(worker string) int {
	w.t.Helper()
	lines := strings.Split(w.run("export", "--config", w.config, "--worker", worker), "\n")
	column := -1
	for i, name := range strings.Split(lines[0], ",") {
		if name == "slot" {
			column = i
		}
	}
	seen := map[string]bool{}
	for _, line := range lines[1:] {
		if cells := strings.Split(line, ","); column >= 0 && column < len(cells) {
			seen[cells[column]] = true
		}
	}
	return len(seen)
}
