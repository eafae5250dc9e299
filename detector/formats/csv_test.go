package formats

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dropleak/dropleak/detector/sample"
)

func at(s float64) time.Time { return time.UnixMilli(int64(s * 1000)).UTC() }

func TestCSV(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]struct {
		in    string
		want  []sample.Process
		notes []Note
		held  []Held
		value bool
	}{
		"value": {
			in:    "time,value\n0,100\n60.5,200\n",
			want:  []sample.Process{{At: at(0), Worker: "w", Role: "unknown", RSS: 100, PSS: nan, USS: nan, Swap: nan, CPU: nan}, {At: at(60.5), Worker: "w", Role: "unknown", RSS: 200, PSS: nan, USS: nan, Swap: nan, CPU: nan}},
			value: true,
		},
		"columns in any order, an empty cell, an unknown column": {
			in: "PSS, pid,colour,rss,time,role,start,ppid,utime,swap,worker\n,7,red,100,2026-11-22T10:00:00Z,child,5,1,1.5,0,mail\n",
			want: []sample.Process{{At: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Worker: "mail", Role: "child",
				PID: 7, PPID: 1, Start: at(5), RSS: 100, PSS: nan, USS: nan, Swap: 0, CPU: 1.5}},
			notes: []Note{{1, `column "colour" is not known and not read`}},
		},
		"a space for the T": {
			in: "time,rss\n2026-11-22 10:00:00.5+02:00,1\n2026-11-22 10:00:00+00,2\n2026-11-22 10:00:00,3\n",
			want: []sample.Process{{At: time.Date(2026, 11, 22, 8, 0, 0, 5e8, time.UTC), Worker: "w", Role: "unknown", RSS: 1, PSS: nan, USS: nan, Swap: nan, CPU: nan},
				{At: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Worker: "w", Role: "unknown", RSS: 2, PSS: nan, USS: nan, Swap: nan, CPU: nan}},
			notes: []Note{{4, `time "2026-11-22 10:00:00" is not in RFC 3339, which ends in Z or a zone such as +02:00`}},
		},
		"tasks held": {
			in:    "time,rss,held\n0,5,7\n60,5,\n120,5,many\n",
			want:  []sample.Process{{At: at(0), Worker: "w", Role: "unknown", RSS: 5, PSS: nan, USS: nan, Swap: nan, CPU: nan}, {At: at(60), Worker: "w", Role: "unknown", RSS: 5, PSS: nan, USS: nan, Swap: nan, CPU: nan}},
			held:  []Held{{At: at(0), Worker: "w", Tasks: 7}},
			notes: []Note{{4, `held "many" is not a plain number of tasks`}},
		},
		"bad rows are notes by line": {
			in:   "time,rss\nsoon,1\n,1\n0,many\n0,-1\n1,5\n\n2\n3,1e400\n",
			want: []sample.Process{{At: at(1), Worker: "w", Role: "unknown", RSS: 5, PSS: nan, USS: nan, Swap: nan, CPU: nan}},
			notes: []Note{{2, `time "soon" is neither seconds nor RFC 3339`}, {3, "the time is missing"},
				{4, `rss "many" is not a plain number of bytes`}, {5, `rss "-1" is not a plain number of bytes`},
				{8, "the row ends after 1 of the header's 2 cells, before any memory"}, {9, `rss "1e400" is not a plain number of bytes`}},
		},
		"a stray quote costs its own row": {
			in:    "time,value\n0,\"1\n1,2\n2,\"3\"\n\"3\",\"4\"\" \"\n",
			want:  []sample.Process{{At: at(1), Worker: "w", Role: "unknown", RSS: 2, PSS: nan, USS: nan, Swap: nan, CPU: nan}, {At: at(2), Worker: "w", Role: "unknown", RSS: 3, PSS: nan, USS: nan, Swap: nan, CPU: nan}},
			notes: []Note{{2, "not a CSV row: a quote is opened and not closed"}, {5, `value "4\"" is not a plain number of bytes`}},
			value: true,
		},
		"more or fewer cells than the header": {
			in: "\n\ntime,rss,swap\n0,100,400,000\n1,5,6,,\n2,7\n3\n4,,\n",
			want: []sample.Process{{At: at(1), Worker: "w", Role: "unknown", RSS: 5, PSS: nan, USS: nan, Swap: 6, CPU: nan},
				{At: at(2), Worker: "w", Role: "unknown", RSS: 7, PSS: nan, USS: nan, Swap: nan, CPU: nan}},
			notes: []Note{{4, "the row has 4 cells, the header has 3"}, {7, "the row ends after 1 of the header's 3 cells, before any memory"}},
		},
		"byte order mark and CRLF": {
			in:    "\ufefftime,value\r\n1,2\r\n",
			want:  []sample.Process{{At: at(1), Worker: "w", Role: "unknown", RSS: 2, PSS: nan, USS: nan, Swap: nan, CPU: nan}},
			value: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := CSV(strings.NewReader(c.in), "w")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Processes, cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("samples (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.held, got.Held); diff != "" {
				t.Errorf("tasks held (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.notes, got.Notes, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			if got.ValueOnly != c.value {
				t.Errorf("ValueOnly = %v", got.ValueOnly)
			}
		})
	}
}

func TestCSVDroplet(t *testing.T) {
	got, err := CSV(strings.NewReader("time,droplet,memory_available,memory_total\n0,42,100,1000\n"), "w")
	if err != nil || len(got.Droplets) != 1 || len(got.Processes) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	if d := got.Droplets[0]; d.Droplet != "42" || d.Available != 100 || d.Total != 1000 {
		t.Errorf("%+v", d)
	}
}

func TestCSVRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"empty":         {"", "no usable row"},
		"header only":   {"time,value\n", "no usable row"},
		"only bad rows": {"time,value\nx,1\n", "no usable row"},
		"no time":       {"when,value\n1,2\n", "no column time"},
		"no memory":     {"time,colour\n1,2\n", "neither value nor any of"},
		"twice":         {"time,rss,rss\n1,2,3\n", "stands twice"},
		"open quote":    {"time,\"rss\n1,2\n", "read the header row: a quote is opened"},
	} {
		if _, err := CSV(strings.NewReader(c.in), "w"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := CSV(strings.NewReader(""), "w"); !errors.Is(err, ErrNoRows) {
		t.Error("an empty file must be ErrNoRows")
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"time,value\n1,2\n", "time,rss,pid\n1,2,3\n\"", "time,rss\n\"a\nb\",2", "\ufefftime\n", "time,value\n1e11,5\n-1e11,9\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := CSV(strings.NewReader(in), "w")
		if err == nil && len(got.Processes)+len(got.Droplets) == 0 {
			t.Error("no rows and no error")
		}
		for _, p := range got.Processes {
			if math.IsInf(p.RSS, 0) || p.RSS < 0 || p.At.Year() > 9999 {
				t.Errorf("%+v", p)
			}
		}
		if len(got.Notes) > maxNotes+1 {
			t.Errorf("%d notes", len(got.Notes))
		}
	})
}

// NaN is not measured, and one note says so.
func TestCSVNaN(t *testing.T) {
	got, err := CSV(strings.NewReader("time,rss,swap\n1,5,\n2,NaN,0\n3,nan,NaN\n"), "w")
	if err != nil || len(got.Processes) != 1 || got.Processes[0].RSS != 5 {
		t.Fatalf("%+v, %v", got.Processes, err)
	}
	if len(got.Notes) != 1 || got.Notes[0].Line != 3 || !strings.Contains(got.Notes[0].Text, "NaN is read as not measured") {
		t.Errorf("notes %+v, want one at line 3", got.Notes)
	}
}
