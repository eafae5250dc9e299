package detector_test

import (
	"compress/gzip"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// TestOwnRecordings judges the recordings of testdata/recordings as alerts
// come. Who is judged wrongly stands here by name and in docs/detection.md.
func TestOwnRecordings(t *testing.T) {
	wrong := map[string]bool{
		"autoscale-cache":  true, // no life of a child gains 4 MiB before the pool shrinks: unsure from the third look on
		"eventlet-warm":    true, // its cache fills in nearly a straight line for a day
		"eventlet-bounded": true, // at the first look, while its cache fills for the first time
	}
	for _, label := range recorded(t, "labels.csv") {
		name := label["file"]
		c := ownNode(t, name)
		alarm, line := time.Duration(-1), ""
		for k := 1; k <= 10; k++ {
			at := time.Unix(0, c.end.UnixNano()*int64(k)/10).UTC()
			v := detector.Judge(c.worker, at, detector.Options{})
			line += " " + string(v.Kind) + "/" + string(v.Reason)
			if v.Kind.Leaks() && alarm < 0 {
				alarm = at.Sub(time.Unix(0, 0))
			}
		}
		leaks := label["label"] != string(detector.Healthy)
		t.Logf("%-18s %-11s first alarm %5.1f h:%s", name, label["label"], alarm.Hours(), line)
		if right := leaks == (alarm >= 0); right == wrong[name] {
			t.Errorf("%s: judged right: %v; the list of those judged wrongly says %v", name, right, wrong[name])
		}
	}
}

// own is one recorded node.
type own struct {
	worker detector.Worker
	end    time.Time
}

func ownNode(t *testing.T, name string) (c own) {
	t.Helper()
	c.worker.Name = name
	index := map[string]int{}
	for _, row := range recorded(t, name+".csv.gz") {
		if row["role"] == "other" {
			continue
		}
		number := func(column string) float64 {
			v, err := strconv.ParseFloat(row[column], 64)
			if err != nil {
				return math.NaN()
			}
			return v
		}
		moment := func(column string) time.Time { return time.UnixMilli(int64(math.Round(number(column) * 1000))).UTC() }
		key := row["pid"] + "/" + row["start"]
		if _, ok := index[key]; !ok {
			index[key] = len(c.worker.Lives)
			c.worker.Lives = append(c.worker.Lives, detector.Life{PID: int(number("pid")), Start: moment("start"), Role: detector.Role(row["role"]), Slot: row["slot"]})
		}
		l := &c.worker.Lives[index[key]]
		at := moment("time")
		l.Samples = append(l.Samples, detector.Sample{At: at, RSS: number("rss"), PSS: number("pss"), USS: number("uss"), Swap: number("swap"), CPU: number("cpu")})
		if held := number("held"); held >= 0 {
			c.worker.Held = append(c.worker.Held, detector.Point{At: at, V: held})
		}
		if at.After(c.end) {
			c.end = at
		}
	}
	return c
}

// recorded reads a table of testdata/recordings.
func recorded(t *testing.T, name string) (out []map[string]string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "recordings", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	if filepath.Ext(name) == ".gz" {
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		r = csv.NewReader(z)
	}
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, column := range rows[0] {
			m[column] = row[i]
		}
		out = append(out, m)
	}
	return out
}
