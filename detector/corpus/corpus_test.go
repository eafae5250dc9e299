package corpus

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/dropleak/dropleak/detector"
)

// folder is the recordings' folder; without it there is nothing to read.
func folder(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(Env)
	if dir == "" {
		t.Skipf("needs %s, the folder with the labelled recordings", Env)
	}
	return dir
}

func TestCeleryNodesAreWhole(t *testing.T) {
	nodes, err := Celery(folder(t), true)
	if err != nil {
		t.Fatal(err)
	}
	halves, families := map[Half]int{}, map[string]int{}
	for _, n := range nodes {
		halves[n.Half]++
		families[n.Family]++
		if leaky := n.Family[0] == 'l'; leaky != n.Kind.Leaks() || leaky != (n.Rate > 0) || leaky == n.Onset.IsZero() {
			t.Errorf("%s: family %s, kind %s, rate %v, onset %v disagree", n.Name, n.Family, n.Kind, n.Rate, n.Onset)
		}
		if len(n.Worker.Lives) < 2 || len(n.Worker.Tasks) == 0 || len(n.Lives) == 0 || len(n.Tasks) == 0 {
			t.Errorf("%s: %d lives, %d executions, %d and %d truths", n.Name, len(n.Worker.Lives), len(n.Worker.Tasks), len(n.Lives), len(n.Tasks))
		}
		if h := n.End.Sub(n.Begin).Hours(); h < 20 || h > 40 {
			t.Errorf("%s: spans %.1f h", n.Name, h)
		}
	}
	if len(families) != 20 || halves[Calibrate] == 0 || halves[Report] == 0 {
		t.Errorf("%d families, halves %v", len(families), halves)
	}
}

func TestRealSeriesAreWhole(t *testing.T) {
	series, err := Real(folder(t))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[detector.Kind]int{}
	for _, s := range series {
		kinds[s.Kind]++
		if len(s.Worker.Lives) != 1 || len(s.Worker.Lives[0].Samples) < 100 {
			t.Errorf("%s: too little read", s.Name)
		}
		for _, p := range s.Worker.Lives[0].Samples {
			if math.IsNaN(p.RSS) || p.RSS < 0 {
				t.Fatalf("%s: value %v at %v", s.Name, p.RSS, p.At)
			}
		}
		if s.Kind.Leaks() && (s.Onset.Before(s.Begin) || s.Onset.After(s.End)) {
			t.Errorf("%s: onset %v outside %v to %v", s.Name, s.Onset, s.Begin, s.End)
		}
	}
	if kinds[detector.Leak] == 0 || kinds[detector.Healthy] == 0 {
		t.Errorf("kinds %v", kinds)
	}
}

// TestReadsAHandMadeNode needs no recordings: a node of three lines.
func TestReadsAHandMadeNode(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, "real", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("manifest.csv", "file,label,unit,strength,limit,onset_ts,group,why,notes\na.csv,leak,pct,strong,100,10,x,w,n\nb.csv,unknown,bytes,,,,x,w,n\n")
	write("a.csv", "ts_seconds,value_pct\n5,1\n5,2\n20,3\n")
	write("b.csv", "ts_seconds,value_bytes\n5,100\n")
	got, err := Real(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Kind != detector.Leak || got[1].Kind != detector.Unsure || got[1].Strength != Unknown {
		t.Fatalf("read %+v", got)
	}
	a := got[0]
	if s := a.Worker.Lives[0].Samples; len(s) != 2 || s[1].RSS != 3*hostMemory/100.0 || a.Onset != Moment(10) || a.Worker.Limit.Bytes != hostMemory {
		t.Errorf("series a read as %+v", a)
	}
	if _, err := Real(t.TempDir()); err == nil {
		t.Error("an empty folder reads without an error")
	}
}
