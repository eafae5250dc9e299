package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/formats"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// growing is a process that looks like a Celery worker of the name and leaks:
// 300 KiB every tenth of a second. The leak is real, the worker is not.
func growing(t *testing.T, node string) {
	t.Helper()
	const program = `import time
held = []
while True:
    held.append(bytearray(300 << 10))
    time.sleep(0.1)
`
	dir := testbed.Folder(t)
	path := filepath.Join(dir, "celery")
	if err := os.WriteFile(path, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	testbed.Start(t, "growing", dir, exec.Command("/usr/bin/python3", path, "-A", "app", "worker", "-n", node))
}

// TestPrometheusStory follows docs/sources/prometheus.md from exporters to
// the report: the server is asked and sends at once, about one worker.
func TestPrometheusStory(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 31)
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}})
	growing(t, "grower@web-1")
	exporter := testbed.ProcessExporter(t, passages(t, "prometheus.md", "process-exporter"))
	secret := filepath.Join(w.dir, "sender.token")
	packaged(t, "prometheus.md", "install")
	w.write(secret, w.follow("prometheus.md", "token"))
	prom := testbed.PrometheusWith(t, strings.NewReplacer("127.0.0.1:9256", exporter.Addr, "127.0.0.1:8080", w.listen,
		"/etc/prometheus/dropleak.token", secret).Replace("global: {scrape_interval: 1s}\n"+passages(t, "prometheus.md", "prometheus")))
	w.append(strings.ReplaceAll(passages(t, "prometheus.md", "dropleak"), "http://127.0.0.1:9090", prom.URL))
	w.serve()
	w.await(2*testbed.Patience, "the leak is found", "grower@web-1", dropletName, "Grows")
	w.figures("grower@web-1")
	said := w.follow("prometheus.md", "look")
	for _, want := range []string{"sender/prometheus", "prometheus  prometheus", "grower@web-1"} {
		if !strings.Contains(said, want) {
			t.Errorf("sources does not say %q:\n%s", want, said)
		}
	}
	if n := strings.Count(said, "grower@web-1"); n != 2 {
		t.Errorf("the worker is told of by %d sources, want 2:\n%s", n, said)
	}
	prom.Stop()
	testbed.Eventually(t, testbed.Patience, func() error {
		if said = w.run("sources", "--config", w.config); !strings.Contains(said, "does not answer") {
			return fmt.Errorf("sources says\n%s", said)
		}
		return nil
	})
}

// TestInfluxStory follows docs/sources/influxdb.md: a real collectd sends to a
// real InfluxDB, which is asked.
func TestInfluxStory(t *testing.T) {
	t.Parallel()
	w := newTown(t, 34)
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}})
	w.faster(2400)
	growing(t, "mail@i34")
	packaged(t, "influxdb.md", "install")
	db := testbed.InfluxWith(t, passages(t, "influxdb.md", "influxdb"))
	_, port, err := net.SplitHostPort(db.Collectd)
	if err != nil {
		t.Fatal(err)
	}
	testbed.Collectd(t, dropletName, strings.NewReplacer(" -n mail@", " -n mail@i34", "25826", port).Replace(
		passages(t, "collectd.md", "collectd")+passages(t, "influxdb.md", "network")))
	w.append(strings.ReplaceAll(passages(t, "influxdb.md", "dropleak"), "http://127.0.0.1:8086", db.URL))
	w.serve()
	w.await(2*testbed.Patience, "the leak is found", "mail", dropletName, "Grows", "which of them grows")
	w.figures("mail")
	asked(t, db, passages(t, "influxdb.md", "users"), "statement_id\":1")
	asked(t, db, strings.ReplaceAll(passages(t, "influxdb.md", "query"), "$range", "time > now() - 1h"), "statement_id")
	if said := w.follow("influxdb.md", "look"); !strings.Contains(said, "influxdb  influxdb") || strings.Contains(said, "influxdb: ") {
		t.Errorf("sources does not say that influxdb is well:\n%s", said)
	}
}

// asked runs InfluxQL as an administrator would, and looks into the answer.
func asked(t *testing.T, db *testbed.InfluxServer, query, want string) {
	t.Helper()
	resp, err := http.PostForm(db.URL+"/query", url.Values{"db": {"collectd"}, "q": {query}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || strings.Contains(string(answer), "error") || !strings.Contains(string(answer), want) {
		t.Errorf("influxd answers %s, %v to %s", answer, err, query)
	}
}

// faster has a second count as more than in other towns: a source that tells
// no start of a process needs more hours to a verdict.
func (w *town) faster(scale int) {
	w.t.Helper()
	was, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(w.config, strings.Replace(string(was), "time_scale: 240", fmt.Sprintf("time_scale: %d", scale), 1))
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

// TestCollectdStory follows docs/sources/collectd.md: a real collectd posts
// what it reads, and writes the same to files. The report comes, and scan
// reads in the files what the service keeps.
func TestCollectdStory(t *testing.T) {
	t.Parallel()
	w := newTown(t, 33)
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}})
	w.faster(2400)
	growing(t, "mail@c33")
	packaged(t, "collectd.md", "install")
	secret := w.follow("collectd.md", "token")
	w.serve()
	files := testbed.Folder(t)
	testbed.Collectd(t, dropletName, strings.NewReplacer(" -n mail@", " -n mail@c33", "127.0.0.1:8080", w.listen, "TOKEN", strings.TrimSpace(secret),
		"FlushInterval 10", "FlushInterval 1", "/var/lib/collectd/csv", files).Replace(
		passages(t, "collectd.md", "collectd")+passages(t, "collectd.md", "write_http")+passages(t, "collectd.md", "csv")))
	w.await(2*testbed.Patience, "the leak is found", "mail", dropletName, "Grows", "which of them grows")
	w.figures("mail")
	w.sameAsFiles(files)
	if said := w.follow("collectd.md", "look"); !strings.Contains(said, "collectd") {
		t.Errorf("sources does not tell of collectd:\n%s", said)
	}
	if said := w.follow("collectd.md", "scan", "/var/lib/collectd/csv", files); !strings.Contains(said, "mail") {
		t.Errorf("scan does not tell of mail:\n%s", said)
	}
}

// sameAsFiles compares the readings in the service's history with those in
// the files that collectd wrote meanwhile: each moment that both have is the
// same.
func (w *town) sameAsFiles(dir string) {
	w.t.Helper()
	exported, err := formats.CSV(strings.NewReader(w.run("export", "--config", w.config, "--worker", "mail")), "")
	if err != nil {
		w.t.Fatal(err)
	}
	found, err := expand([]string{dir}, nil, "")
	if err != nil || len(found) != 1 || found[0].Format != formats.FormatCollectd {
		w.t.Fatalf("%+v, %v, want one source of collectd", found, err)
	}
	filed, err := found[0].Read(formats.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	written := map[time.Time]float64{}
	for _, p := range filed.Processes {
		if p.Worker != "mail" || p.Droplet != dropletName {
			w.t.Errorf("the files tell of %q on %q", p.Worker, p.Droplet)
		}
		written[p.At] = p.RSS
	}
	both := 0
	for _, p := range exported.Processes {
		if rss, ok := written[p.At]; ok {
			if both++; rss != p.RSS {
				w.t.Errorf("at %s the service keeps %g bytes, the file %g", p.At, p.RSS, rss)
			}
		}
	}
	if both < 10 || len(filed.Droplets) < 10 {
		w.t.Errorf("%d readings of the service and %d of the files have %d moments in common; the droplet has %d", len(exported.Processes), len(filed.Processes), both, len(filed.Droplets))
	}
}
