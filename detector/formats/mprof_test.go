package formats

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dropleak/dropleak/detector/sample"
)

// proc is a process of which only RSS is known, in MiB.
func proc(t float64, worker, role, slot string, pid int, mib float64) sample.Process {
	p := unmeasured(at(t), worker)
	p.Role, p.Slot, p.PID, p.RSS = role, slot, pid, mib*mebibyte
	return p
}

func same(t *testing.T, want, got []sample.Process) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}

func TestMProf(t *testing.T) {
	for name, c := range map[string]struct {
		in    string
		want  []sample.Process
		notes []Note
	}{
		"one process, the command with and without its old name": {
			in:   "CMDLINE celery -A app worker -P solo\nMEM 10.500000 1795456898.1234\nMEM 11.000000 1795456899.1000\n",
			want: []sample.Process{proc(1795456898.123, "w", "unknown", "", 0, 10.5), proc(1795456899.1, "w", "unknown", "", 0, 11)},
		},
		"multiprocess: MEM is the parent": {
			in: "CMDL x\nMEM 50 100.0\nCHLD 701 60 100.01\nCHLD 0 0.0 100.02\nMEM 51 101.0\nCHLD 701 90 101.01\n",
			want: []sample.Process{proc(100, "w", "child", "", 701, 60), proc(100, "w", "parent", "main", 0, 50),
				proc(101, "w", "child", "", 701, 90), proc(101, "w", "parent", "main", 0, 51)},
		},
		"with include-children MEM is the sum": {
			in: "MEM 110 100.0\nCHLD 701 60 100.01\nMEM 141 101.0\nCHLD 701 90 101.01\n",
			want: []sample.Process{proc(100, "w", "child", "", 701, 60), proc(100, "w", "parent", "main", 0, 50),
				proc(101, "w", "child", "", 701, 90), proc(101, "w", "parent", "main", 0, 51)},
			notes: []Note{{0, "MEM includes the children; the parent is what is left of it"}},
		},
		"numbered children of old versions": {
			in: "MEM 50 100.0\nCHLD 0 60 100.01\nCHLD 1 70 100.01\n",
			want: []sample.Process{proc(100, "w", "child", "0", 0, 60), proc(100, "w", "child", "1", 0, 70),
				proc(100, "w", "parent", "main", 0, 50)},
		},
		"bad lines are notes": {
			in:   "MEM x 1\nCHLD 1 2 3\nMEM 5\nMEM 5 1e99\nHELLO\n\nMEM 5 1\nMEM -1 2\nFUNC f 1\n",
			want: []sample.Process{proc(1, "w", "unknown", "", 0, 5)},
			notes: []Note{{1, `"x" is not a size in MiB`}, {2, "a CHLD line stands before the first MEM line"}, {3, "a MEM line wants a size and a time"},
				{4, `time "1e99" is not a number of seconds`}, {5, `"HELLO" is no line of mprof`}, {8, `"-1" is not a size in MiB`},
				{9, "a FUNC line wants a name, and size and time of begin and end"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := MProf(strings.NewReader(c.in), "w")
			if err != nil {
				t.Fatal(err)
			}
			same(t, c.want, got.Processes)
			if diff := cmp.Diff(c.notes, got.Notes, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := MProf(strings.NewReader("CMDLINE x\n"), "w"); !errors.Is(err, ErrNoRows) {
		t.Errorf("a recording without MEM lines: %v", err)
	}
}

func TestMProfFunctions(t *testing.T) {
	r, err := MProf(strings.NewReader("MEM 10 1\nFUNC app.keep 10.0 1.0 14.0 2.0 0\nFUNC app.drop 14.0 2.0 13.5 2.5 0\nFUNC app.keep 14.0 3.0 30.0 4.0 1\n"), "w")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Function app.keep: 2 calls left 20.0 MiB behind, peak 30.0 MiB.", "Function app.drop: 1 call left -0.5 MiB behind, peak 14.0 MiB."}
	if diff := cmp.Diff(want, r.Evidence); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
	if f := Functions(r.Calls)[0]; !f.At.Begin.Equal(at(3)) || f.Peak != 30*mebibyte {
		t.Errorf("the peak of %s is at %s", f.Name, f.At.Begin)
	}
}

func FuzzMProf(f *testing.F) {
	f.Add("MEM 10 1\nCHLD 7 2 1\nFUNC f 1 1 2 2 0\n")
	f.Add("MEM 1e30 1\nCHLD 0 NaN 1\nCHLD 0 1 1\n")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := MProf(strings.NewReader(in), "w")
		sound(t, r, err)
	})
}

// sound is what must hold of every reading, whatever the file.
func sound(t *testing.T, r Reading, err error) {
	t.Helper()
	if err == nil && !r.usable() {
		t.Error("nothing was read and no error says so")
	}
	for _, p := range r.Processes {
		for _, v := range []float64{p.RSS, p.PSS, p.USS, p.Swap, p.CPU} {
			if math.IsInf(v, 0) {
				t.Errorf("%+v", p)
			}
		}
		if !measured(p) || p.At.Year() > 9999 || p.PID < 0 {
			t.Errorf("%+v", p)
		}
	}
	if len(r.Notes) > maxNotes+1 {
		t.Errorf("%d notes", len(r.Notes))
	}
}
