package formats

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/dropleak/dropleak/detector/sample"
)

// text is a file of a test.
func text(path, content string, modified time.Time) File {
	return File{Path: path, Modified: modified, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

// reading reads one file as auto would.
func reading(t *testing.T, path, content string, o Options) Reading {
	t.Helper()
	s := One(text(path, content, at(500)), "")
	r, err := s.Read(o)
	if err != nil {
		t.Fatalf("%s (%s): %v", path, s.Format, err)
	}
	return r
}

func TestPrometheusText(t *testing.T) {
	process := func(s float64, droplet, worker, slot string, pid int, rss float64) sample.Process {
		p := unmeasured(at(s), worker)
		p.Droplet, p.Slot, p.PID, p.RSS = droplet, slot, pid, rss
		return p
	}
	started := process(1795456898, "", "mail", "0", 0, 100)
	started.Start, started.CPU = at(1795450000), 1.5
	group := process(1795456898, "", "mail", "", 701, 100)
	group.PSS, group.Swap, group.CPU = 50, 7, 3
	group.Start = at(1795450000)
	for name, c := range map[string]struct {
		path, in string
		want     []sample.Process
		notes    []Note
		o        Options
	}{
		"python client, time from the name": {"scrape-1795456898.prom", "# HELP process_resident_memory_bytes x\n# TYPE process_resident_memory_bytes gauge\n" +
			`process_resident_memory_bytes{job="mail"} 100` + "\n" + `process_start_time_seconds{job="mail"} 1.79545e+09` + "\n" +
			`process_cpu_seconds_total{job="mail"} 1.5` + "\npython_info{version=\"3\"} 1\n", []sample.Process{started}, nil, Options{}},
		"13 digits in the name": {"1795456898000.txt", "process_resident_memory_bytes 100\n", []sample.Process{process(1795456898, "", "1795456898000", "0", 0, 100)}, nil, Options{}},
		"time of the file, with a note": {"w1.prom", "process_resident_memory_bytes 100\n", []sample.Process{process(500, "", "w1", "0", 0, 100)},
			[]Note{{0, "the samples carry no time; that of the file (1970-01-01 00:08:20) is taken"}}, Options{}},
		"own stamps in milliseconds": {"x", "process_resident_memory_bytes{job=\"a\",instance=\"10.0.0.7:9100\"} 5 60000\n", []sample.Process{process(60, "10.0.0.7", "a", "10.0.0.7:9100", 0, 5)}, nil, Options{}},
		"own stamps in seconds, as OpenMetrics has them": {"x", "process_resident_memory_bytes{job=\"a\"} 5 60.5\nprocess_resident_memory_bytes{job=\"a\"} 6 120 # {trace=\"x\"} 1 2\n# EOF\n",
			[]sample.Process{process(60.5, "", "a", "0", 0, 5), process(120, "", "a", "0", 0, 6)}, nil, Options{}},
		"whole seconds, known by the end of OpenMetrics": {"x", "process_resident_memory_bytes{job=\"a\"} 5 60\n# EOF\n", []sample.Process{process(60, "", "a", "0", 0, 5)}, nil, Options{}},
		"seconds with a fraction, without that end":      {"x", "process_resident_memory_bytes{job=\"a\"} 5 60.5\n", []sample.Process{process(60.5, "", "a", "0", 0, 5)}, nil, Options{}},
		"process-exporter": {"1795456898", `namedprocess_namegroup_memory_bytes{groupname="mail;701",memtype="resident"} 100
namedprocess_namegroup_memory_bytes{groupname="mail;701",memtype="virtual"} 900
namedprocess_namegroup_memory_bytes{groupname="mail;701",memtype="proportionalResident"} 50
namedprocess_namegroup_memory_bytes{groupname="mail;701",memtype="swapped"} 7
namedprocess_namegroup_cpu_seconds_total{groupname="mail;701",mode="user"} 3
namedprocess_namegroup_cpu_seconds_total{groupname="mail;701",mode="system"} 1
namedprocess_namegroup_oldest_start_time_seconds{groupname="mail;701"} 1.79545e+09
`, []sample.Process{group}, nil, Options{}},
		"another groupname": {"1795456898", `namedprocess_namegroup_memory_bytes{groupname="p701 of mail",memtype="resident"} 100` + "\n",
			[]sample.Process{process(1795456898, "", "mail", "", 701, 100)}, nil, Options{Groupname: regexp.MustCompile(`^p(?P<pid>\d+) of (?P<worker>.*)$`)}},
		"our own names": {"x", `dropleak_process_memory_bytes{kind="pss",droplet="42",worker="w@1",slot="main",role="parent"} 9 60000` + "\n" +
			`dropleak_process_pid{droplet="42",worker="w@1",slot="main",role="parent"} 7 60000` + "\n",
			[]sample.Process{{At: at(60), Droplet: "42", Worker: "w@1", Slot: "main", Role: "parent", PID: 7, RSS: sample.NaN, PSS: 9, USS: sample.NaN, Swap: sample.NaN, CPU: sample.NaN}}, nil, Options{}},
		"promtool's dump, escapes, a bad line": {"x", `{__name__="process_resident_memory_bytes", worker="a\"\\b\n"} 5 60000` + "\nprocess_resident_memory_bytes{x} 1\nprocess_resident_memory_bytes{worker=\"c\"} ?\n",
			[]sample.Process{process(60, "", "a\"\\b\n", "0", 0, 5)}, []Note{{2, "a label has no value"}, {3, `"?" is no value`}}, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := reading(t, c.path, c.in, c.o)
			same(t, c.want, got.Processes)
			if diff := cmp.Diff(c.notes, got.Notes, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNodeExporter(t *testing.T) {
	r := reading(t, "1795456898.prom", "node_memory_MemAvailable_bytes 5e8\nnode_memory_MemTotal_bytes 1e9\nnode_memory_MemFree_bytes 1\nnode_boot_time_seconds 1.79545e+09\nnode_vmstat_oom_kill 2\n", Options{})
	if len(r.Droplets) != 1 || len(r.Processes) != 0 {
		t.Fatalf("%+v", r)
	}
	if d := r.Droplets[0]; d.Available != 5e8 || d.Total != 1e9 || d.OOMKills != 2 || !d.Boot.Equal(at(1795450000)) {
		t.Errorf("%+v", d)
	}
}

// TestReadsWhatExpfmtWrites holds the line reader to the reference writer,
// in both formats.
func TestReadsWhatExpfmtWrites(t *testing.T) {
	names := []string{"plain", `q"uo\te` + "\n", "späße, {x}=", "with } and # EOF"}
	registry := prometheus.NewRegistry()
	registry.MustRegister(stampedGauge{names, at(1795456898.123)})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []expfmt.Format{expfmt.NewFormat(expfmt.TypeTextPlain), expfmt.NewFormat(expfmt.TypeOpenMetrics)} {
		var b bytes.Buffer
		e := expfmt.NewEncoder(&b, format)
		if err := e.Encode(families[0]); err != nil {
			t.Fatal(err)
		}
		if c, ok := e.(expfmt.Closer); ok {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		r := reading(t, "x", b.String(), Options{})
		if len(r.Processes) != len(names) || len(r.Notes) > 0 {
			t.Fatalf("%s: %d samples, notes %v, of\n%s", format, len(r.Processes), r.Notes, b.String())
		}
		got := map[string]float64{}
		for _, p := range r.Processes {
			got[p.Worker] = p.RSS
			if p.At.UnixMilli() != 1795456898123 {
				t.Errorf("%s: time %s", format, p.At)
			}
		}
		for i, w := range names {
			if got[w] != float64(i+1)*1e9 {
				t.Errorf("%s: %q is %v", format, w, got[w])
			}
		}
	}
}

// stampedGauge has one value a worker, each with a time.
type stampedGauge struct {
	names []string
	at    time.Time
}

var gauge = prometheus.NewDesc(clientRSS, "Resident memory size in bytes.\nOf \\ \"one\".", []string{"worker"}, nil)

func (g stampedGauge) Describe(out chan<- *prometheus.Desc) { out <- gauge }

func (g stampedGauge) Collect(out chan<- prometheus.Metric) {
	for i, w := range g.names {
		out <- prometheus.NewMetricWithTimestamp(g.at, prometheus.MustNewConstMetric(gauge, prometheus.GaugeValue, float64(i+1)*1e9, w))
	}
}

func TestDropletOfAnAddress(t *testing.T) {
	for in, want := range map[string]string{"10.0.0.7:9100": "10.0.0.7", "web1:9100": "web1", "web1": "web1", "[fe80::1]:9100": "fe80::1", "fe80::1": "fe80::1",
		"localhost:9100": "", "127.0.0.1:1": "", "[::1]:9": "", "": ""} {
		if got := dropletOf(sample.Series{Labels: []sample.Label{{Name: "instance", Value: in}}}); got != want {
			t.Errorf("dropletOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPromJSON(t *testing.T) {
	rss := func(s, v float64) sample.Process {
		p := unmeasured(at(s), "mail")
		p.Slot, p.RSS, p.Droplet = "web1:9256", v, "web1"
		return p
	}
	for name, c := range map[string]struct {
		in    string
		want  []sample.Process
		notes []Note
	}{
		"matrix": {`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"process_resident_memory_bytes","job":"mail","instance":"web1:9256"},"values":[[60,"5"],[120.5,"6"],[180,"NaN"]]}]}}`,
			[]sample.Process{rss(60, 5), rss(120.5, 6)}, nil},
		"vectors, one after the other": {`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"process_resident_memory_bytes","job":"mail","instance":"web1:9256"},"value":[60,"5"]}]}}
{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"process_resident_memory_bytes","job":"mail","instance":"web1:9256"},"value":[120.5,"6"]}]}}`,
			[]sample.Process{rss(60, 5), rss(120.5, 6)}, nil},
		"bare list, no name, a bad point, a bad series": {`[{"metric":{"job":"mail","instance":"web1:9256"},"values":[[60,"5"],["x",1]]},{"metric":7}]`, []sample.Process{rss(60, 5)},
			[]Note{{0, "series 1: 1 of 2 points are no [seconds, \"value\"]"}, {0, "series 2 is no series of a matrix or vector"}, {0, "series without a name are taken for resident memory"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := reading(t, "x.json", c.in, Options{})
			same(t, c.want, got.Processes)
			if diff := cmp.Diff(c.notes, got.Notes, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
	for _, in := range []string{`{"status":"error","error":"bad query"}`, `{"data":`, `{"data":{"result":[]}}`, `[{"metric":{},"values":[[1,"2"]]}`, `{"a":[1,2,{"b":3}]}`} {
		if r, err := One(text("x", in, at(0)), "").Read(Options{}); err == nil && !r.usable() {
			t.Errorf("%s: no error", in)
		}
	}
}

func FuzzPrometheus(f *testing.F) {
	f.Add("process_resident_memory_bytes{job=\"a\"} 5 60000\n# EOF\n", true)
	f.Add("{\"process_resident_memory_bytes\",\"x\"=\"y\"} +Inf 1e300\n1795456898\n", false)
	f.Add("dropleak_process_pid{worker=\"w\"} -5\nnamedprocess_namegroup_memory_bytes{groupname=\"a;99999999999\",memtype=\"resident\"} 1\n", false)
	f.Fuzz(func(t *testing.T, in string, open bool) {
		format := FormatPrometheus
		if open {
			format = FormatOpenMetrics
		}
		r, err := One(text("1795456898", in, at(0)), format).Read(Options{})
		sound(t, r, err)
	})
}

func FuzzPromJSON(f *testing.F) {
	f.Add(`{"data":{"result":[{"metric":{"__name__":"process_resident_memory_bytes"},"values":[[1,"2"]],"value":[1,"2"]}]}}`)
	f.Add(`[{"metric":{"job":"a"},"values":[[1e11,"1e400"]]}][]`)
	f.Fuzz(func(t *testing.T, in string) {
		r, err := One(text("x", in, at(0)), FormatPromJSON).Read(Options{})
		sound(t, r, err)
	})
}
