package detector

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// corpus returns the folder of labelled recordings.
func corpus(t testing.TB) string {
	dir := os.Getenv("DROPLEAK_CORPUS")
	if dir == "" {
		t.Skip("needs DROPLEAK_CORPUS, the folder with the labelled recordings (celery/ and real/)")
	}
	return dir
}

// recording is one labelled node.
type recording struct {
	name, family, label, notes string
	rate, onset                float64 // bytes per hour; seconds
	worker                     Worker
	end                        float64 // seconds
}

// held reports whether the recording belongs to the half that is only
// reported on: even numbers calibrate, odd numbers report.
func (r recording) held() bool {
	n, _ := strconv.Atoi(strings.TrimPrefix(r.name, "w"))
	return n%2 == 1
}

func secs(s float64) time.Time { return time.Unix(0, int64(s*1e9)).UTC() }

// records reads a CSV file, through gzip where its name says so, as maps.
func records(t testing.TB, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		r = csv.NewReader(z)
	}
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		m := make(map[string]string, len(row))
		for i, h := range rows[0] {
			m[h] = row[i]
		}
		out = append(out, m)
	}
	return out
}

func num(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// loadCelery reads every labelled Celery recording.
func loadCelery(t testing.TB) []recording {
	dir := filepath.Join(corpus(t), "celery")
	var out []recording
	for _, m := range records(t, filepath.Join(dir, "labels.csv")) {
		r := recording{name: strings.TrimSuffix(filepath.Base(m["file"]), ".csv.gz"), family: m["family"],
			label: m["label"], notes: m["notes"], rate: num(m["true_rate_bytes_per_hour"]), onset: num(m["leak_onset_ts"])}
		r.worker, r.end = loadWorker(t, filepath.Join(dir, m["file"]))
		r.worker.Name = r.name
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b recording) int {
		return strings.Compare(a.family+a.name, b.family+b.name)
	})
	return out
}

// loadWorker reads one recording as a worker.
func loadWorker(t testing.TB, path string) (Worker, float64) {
	w := Worker{Name: path, Pool: PoolPrefork}
	index := map[string]int{}
	end := 0.0
	for _, m := range records(t, path) {
		key := m["pid"] + "/" + m["start"]
		i, ok := index[key]
		if !ok {
			i = len(w.Lives)
			index[key] = i
			pid, _ := strconv.Atoi(m["pid"])
			w.Lives = append(w.Lives, Life{PID: pid, Start: secs(num(m["start"])), Role: Role(m["role"])})
		}
		w.Lives[i].Samples = append(w.Lives[i].Samples, Sample{At: secs(num(m["time"])), RSS: num(m["rss"]),
			PSS: num(m["pss"]), USS: num(m["uss"]), Swap: num(m["swap"]), CPU: num(m["utime"])})
		end = max(end, num(m["time"]))
	}
	return w, end
}

// TestCelery judges every recording at every tenth of its length, as alerts
// come, and holds floors that a regression would break.
func TestCelery(t *testing.T) {
	halves := map[bool]*tally{false: {}, true: {}}
	for _, r := range loadCelery(t) {
		line := ""
		first := -1.0
		var last Verdict
		for k := 1; k <= 20; k++ {
			at := r.end * float64(k) / 20
			last = Judge(r.worker, secs(at), Options{})
			line += " " + short(last)
			if last.Kind.Leaks() && first < 0 {
				first = at / 3600
				if r.label != "healthy" {
					first = max(at-r.onset, 0) / 3600
				}
			}
			halves[r.held()].look(r, at, last.Kind)
		}
		halves[r.held()].done(r, last, first)
		t.Logf("%s %-3s %-11s %s  first %5.1f h  %s", r.name, r.family, r.label, line, first, rates(r, last))
	}
	t.Logf("calibration half: %v", halves[false])
	t.Logf("reported half:    %v", halves[true])
	for held, c := range halves {
		if c.afp > 0 {
			t.Errorf("held-back half %v: %d healthy recordings accused", held, c.afp)
		}
		if recall := float64(c.atp) / float64(c.atp+c.afn); recall < 0.85 {
			t.Errorf("held-back half %v: recall %.2f", held, recall)
		}
	}
}

func short(v Verdict) string {
	k := map[Kind]string{Leak: "LEAK", LeakMasked: "MASK", Healthy: "ok", Unsure: "?"}[v.Kind]
	r := string(v.Reason)
	if v.Kind.Leaks() {
		return k
	}
	return k + ":" + r[:min(4, len(r))]
}

func rates(r recording, v Verdict) string {
	if v.Rate == nil {
		return ""
	}
	return fmt.Sprintf("rate %.2f (%.2f..%.2f) true %.2f MB/h", v.Rate.Value/1e6, v.Rate.Low/1e6, v.Rate.High/1e6, r.rate/1e6)
}

// tally counts verdicts at the last look and over all looks.
type tally struct {
	tp, fp, fn, tn     int // last look
	atp, afp, afn, atn int // per recording, any look
	wrongKind          int
	times              []float64
}

func (c *tally) look(recording, float64, Kind) {}

func (c *tally) done(r recording, last Verdict, first float64) {
	leaks := r.label != "healthy"
	switch {
	case leaks && last.Kind.Leaks():
		c.tp++
		if string(last.Kind) != r.label {
			c.wrongKind++
		}
	case leaks:
		c.fn++
	case last.Kind.Leaks():
		c.fp++
	default:
		c.tn++
	}
	alarmed := first >= 0
	switch {
	case leaks && alarmed:
		c.atp++
		c.times = append(c.times, first)
	case leaks:
		c.afn++
		c.times = append(c.times, math.Inf(1))
	case alarmed:
		c.afp++
	default:
		c.atn++
	}
}

func (c *tally) String() string {
	return fmt.Sprintf("last look TP %d FP %d FN %d TN %d (wrong kind %d); as alerts come TP %d FP %d FN %d TN %d, median time to alarm %.1f h",
		c.tp, c.fp, c.fn, c.tn, c.wrongKind, c.atp, c.afp, c.afn, c.atn, medianOf(c.times))
}

// loadReal reads the series that others published and labelled.
func loadReal(t testing.TB) []recording {
	dir := filepath.Join(corpus(t), "real")
	var out []recording
	for _, m := range records(t, filepath.Join(dir, "manifest.csv")) {
		if m["unit"] != "bytes" || m["label"] == "unknown" {
			continue
		}
		stretch := 1.0
		if num(m["duration_s"]) < 3600 {
			stretch = 60 // runs of minutes at a reading a second: a second counts as a minute
		}
		r := recording{name: m["file"], family: m["group"] + "/" + m["strength"], label: m["label"], onset: num(m["onset_ts"]) * stretch}
		l := Life{Role: RoleUnknown}
		var from float64
		for i, row := range records(t, filepath.Join(dir, m["file"])) {
			if i == 0 {
				from = num(row["ts_seconds"])
			}
			at := (num(row["ts_seconds"]) - from) * stretch
			nan := math.NaN()
			l.Samples = append(l.Samples, Sample{At: secs(at), RSS: num(row["value_bytes"]), PSS: nan, USS: nan, Swap: nan, CPU: nan})
			r.end = max(r.end, at)
		}
		r.worker = Worker{Name: r.name, Lives: []Life{l}}
		out = append(out, r)
	}
	return out
}

// TestReal judges the published series. Those that are a whole host's memory
// are judged as a single process here, which is harder than it need be.
func TestReal(t *testing.T) {
	halves := map[string]*tally{}
	for i, r := range loadReal(t) {
		line, first := "", -1.0
		var last Verdict
		for k := 1; k <= 10; k++ {
			at := r.end * float64(k) / 10
			last = Judge(r.worker, secs(at), Options{Metric: "rss"})
			line += " " + short(last)
			if last.Kind.Leaks() && first < 0 {
				first = at / 3600
			}
		}
		key := fmt.Sprintf("%s, half %d", r.family, i%2)
		if halves[key] == nil {
			halves[key] = &tally{}
		}
		halves[key].done(r, last, first)
		if (r.label != "healthy") != (first >= 0) {
			t.Logf("%-50.50s %s %-8s %s %s", r.name, r.family, r.label, line, rates(r, last))
		}
	}
	for k, c := range halves {
		t.Logf("%s: %v", k, c)
		if strings.HasPrefix(k, "hpas") && (c.afp > 0 || c.afn > 0) {
			t.Errorf("%s: injected leaks or runs without one judged wrongly", k)
		}
		// JVMs under load that warm up, step and sometimes really grow.
		if strings.HasPrefix(k, "nezha") && c.afp > 6 {
			t.Errorf("%s: %d of %d healthy pods accused", k, c.afp, c.afp+c.atn)
		}
	}
}

// TestTasks asks of every recording with a task log which task leaks.
func TestTasks(t *testing.T) {
	dir := filepath.Join(corpus(t), "celery")
	truth := map[string]string{}
	for _, m := range records(t, filepath.Join(dir, "labels.csv")) {
		truth[strings.TrimSuffix(filepath.Base(m["file"]), ".csv.gz")] = m["leaky_task"]
	}
	accused, found, leaks := 0, 0, 0
	for _, r := range loadCelery(t) {
		for _, m := range records(t, filepath.Join(dir, "tasks", r.name+".csv.gz")) {
			pid, _ := strconv.Atoi(m["pid"])
			r.worker.Tasks = append(r.worker.Tasks, TaskRun{PID: pid, Task: m["task"], Begin: secs(num(m["start"])), End: secs(num(m["end"]))})
		}
		v := Judge(r.worker, time.Time{}, Options{})
		line, hit := "", false
		for _, k := range v.Tasks {
			line += fmt.Sprintf(" %s %.0f (%.0f..%.0f) %s;", k.Task, k.BytesPerCall.Value, k.BytesPerCall.Low, k.BytesPerCall.High, k.Kind)
			if k.Kind == TaskLeak && k.Task != truth[r.name] {
				t.Errorf("%s: %s is innocent", r.name, k.Task)
				accused++
			}
			hit = hit || k.Kind == TaskLeak && k.Task == truth[r.name]
		}
		if truth[r.name] != "" {
			leaks++
			if hit {
				found++
			}
		}
		t.Logf("%s %s leaky %q:%s", r.name, r.family, truth[r.name], line)
	}
	t.Logf("leaking tasks named %d of %d, innocent accused %d", found, leaks, accused)
	if found < leaks*3/4 {
		t.Errorf("named %d of %d leaking tasks", found, leaks)
	}
}
