package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/chart"
	"github.com/dropleak/dropleak/detector/formats"
)

// marked is a file of mprof: a worker that grows 20 MiB an hour for ten hours,
// with two functions marked.
func marked(begin int64) string {
	var b strings.Builder
	b.WriteString("CMDL celery -A app worker\n")
	mem := func(at int64) float64 { return 60 + 20*float64(at-begin)/3600 }
	for at := begin; at <= begin+36000; at += 20 {
		fmt.Fprintf(&b, "MEM %.6f %d.0000\n", mem(at), at)
		if (at-begin)%7200 == 3600 {
			fmt.Fprintf(&b, "FUNC tasks.build_report %.4f %d.0 %.4f %d.0\n", mem(at-1800), at-1800, mem(at), at)
			fmt.Fprintf(&b, "FUNC tasks.mail %.4f %d.0 %.4f %d.0\n", mem(at-3000), at-3000, mem(at-2940), at-2940)
		}
	}
	return b.String()
}

// TestMarks: the functions that mprof marked become rows of the chart, each
// with its calls and its peak; what kept most comes first.
func TestMarks(t *testing.T) {
	begin := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	r, err := formats.MProf(strings.NewReader(marked(begin.Unix())), "w")
	if err != nil {
		t.Fatal(err)
	}
	got := marksOf(r.Calls)
	if len(got) != 2 || got[0].Label != "tasks.build_report" || len(got[0].Spans) != 5 || len(got[1].Spans) != 5 {
		t.Fatalf("%+v", got)
	}
	last := begin.Add(9 * time.Hour)
	want := chart.Mark{Spans: got[0].Spans[4:], Label: got[0].Label, Peak: detector.Point{At: last, V: 240 << 20}}
	got[0].Spans = got[0].Spans[4:]
	if d := cmp.Diff(want, got[0]); d != "" || got[0].Spans[0] != [2]time.Time{last.Add(-30 * time.Minute), last} {
		t.Errorf("%s %v", d, got[0].Spans)
	}
	dir := t.TempDir()
	pictures := map[string][]byte{}
	for name, text := range map[string]string{"with": marked(begin.Unix()), "without": strings.ReplaceAll(marked(begin.Unix()), "FUNC ", "XFUN ")} {
		file, picture := filepath.Join(dir, "w.dat"), filepath.Join(dir, name+".png")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := expand([]string{file}, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := drawScan(picture, []judged{judgeSource(found[0], scanFlags{})}); err != nil {
			t.Fatal(err)
		}
		if pictures[name], err = os.ReadFile(picture); err != nil {
			t.Fatal(err)
		}
	}
	if string(pictures["with"]) == string(pictures["without"]) {
		t.Error("the functions are not drawn")
	}
	if keep := os.Getenv("DROPLEAK_PICTURE"); keep != "" {
		if err := os.WriteFile(keep, pictures["with"], 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
