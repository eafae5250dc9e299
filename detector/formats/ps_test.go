package formats

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dropleak/dropleak/detector/sample"
)

func TestPS(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	row := func(at time.Time, worker, role string, pid, ppid int, kib float64) sample.Process {
		p := unmeasured(at, worker)
		p.Role, p.PID, p.PPID, p.RSS = role, pid, ppid, kib*1024
		return p
	}
	for name, c := range map[string]struct {
		in    string
		want  []sample.Process
		notes []string
	}{
		"two workers, one named, one not, and what is neither": {
			in: `Sun Nov 22 12:00:00 UTC 2026
  PID  PPID   RSS    VSZ COMMAND
    1     0  9000  20000 /sbin/init
  100     1  5000  90000 /usr/bin/python3 /usr/bin/celery -A shop worker -n mail@web1 -c 2
  101   100  6000  90000 /usr/bin/python3 /usr/bin/celery -A shop worker -n mail@web1 -c 2
  200     1  7000  90000 celery -A shop worker
  201   200  8000  90000 celery -A shop worker
  300     1  7000  90000 celery -A shop beat
  400     1  7000  90000 postgres: celery worker
`,
			want: []sample.Process{row(noon, "mail@web1", "parent", 100, 1, 5000), row(noon, "mail@web1", "child", 101, 100, 6000),
				row(noon, "200", "parent", 200, 1, 7000), row(noon, "200", "child", 201, 200, 8000)},
		},
		"titles, a column after the command, --hostname=": {
			in: `2026-11-22T12:00:00Z
PID PPID COMMAND RSS
7 1 [celeryd: a@h:MainProcess] -active- (-A x worker) 11
8 7 [celeryd: a@h:ForkPoolWorker-1] 12
9 1 python -m celery -A x worker --hostname=b@h 13
`,
			want: []sample.Process{row(noon, "a@h", "parent", 7, 1, 11), row(noon, "a@h", "child", 8, 7, 12), row(noon, "b@h", "parent", 9, 1, 13)},
		},
		"a header once, times in seconds, ornaments": {
			in:   "PID PPID RSS CMD\n=== 1795348800 ===\n5 1 10 celery worker\n--- 1795348860.5 ---\n5 1 11 celery worker\n",
			want: []sample.Process{row(noon, "5", "parent", 5, 1, 10), row(noon.Add(60500*time.Millisecond), "5", "parent", 5, 1, 11)},
		},
		"no parents: one command line is one worker": {
			in:   "2026-11-22 12:00:00\nPID RSS ARGS\n6 10 celery -A x worker\n5 11 celery -A x worker\n",
			want: []sample.Process{row(noon, "5", "unknown", 6, 0, 10), row(noon, "5", "unknown", 5, 0, 11)},
		},
		"neither command nor parent: the log is the worker": {
			in:   "2026-11-22 12:00:00\nPID RSS\n6 10\n",
			want: []sample.Process{row(noon, "w", "unknown", 6, 0, 10)}, notes: []string{"no row shows a Celery worker; every process is read"},
		},
		"bad rows are notes": {
			in:   "5 1 1 celery worker\nPID PPID RSS CMD\n5 1 1 celery worker\n2026-11-22 12:00:00\n5 1\nx 1 1 celery worker\n5 1 many celery worker\n5 1 10 celery worker\n",
			want: []sample.Process{row(noon, "5", "parent", 5, 1, 10)},
			notes: []string{`"5 1 1 celery worker" stands before the first header`, "no line before this one says when", `"5 1" has fewer cells than the header`,
				`PID "x" is not a process id`, `RSS "many" is not a number of KiB`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := PS(strings.NewReader(c.in), "w")
			if err != nil {
				t.Fatal(err)
			}
			same(t, c.want, got.Processes)
			var notes []string
			for _, n := range got.Notes {
				notes = append(notes, n.Text)
			}
			if diff := cmp.Diff(c.notes, notes, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := PS(strings.NewReader("hello\n"), "w"); !errors.Is(err, ErrNoRows) {
		t.Errorf("no header: %v", err)
	}
}

// TestPSStarts holds the columns that take several words to the life they
// tell of.
func TestPSStarts(t *testing.T) {
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, block := range []string{
		"PID PPID STARTED RSS CMD\n5 1 Sun Nov 22 10:00:00 2026 10 celery worker -n a\n",
		"PID PPID RSS CMD STARTED\n5 1 10 celery worker -n a Sun Nov 22 10:00:00 2026\n",
		"PID PPID ELAPSED RSS CMD\n5 1 02:00:00 10 celery worker -n a\n",
		"PID PPID ELAPSED RSS CMD\n5 1 7200 10 celery worker -n a\n",
		"USER PID PPID %CPU %MEM VSZ RSS TTY STAT ELAPSED TIME COMMAND\nroot 5 1 0.0 0.1 1 10 ? Ss 2:00:00 0:02 celery worker -n a\n",
	} {
		r, err := PS(strings.NewReader("Sun 22 Nov 2026 12:00:00 PM UTC\n"+block), "w")
		if err != nil || len(r.Processes) != 1 || len(r.Notes) > 0 {
			t.Fatalf("%s: %+v, %v", block, r, err)
		}
		if p := r.Processes[0]; !p.Start.Equal(start) || p.Worker != "a" || p.RSS != 10*1024 {
			t.Errorf("%s: %+v", block, p)
		}
	}
}

func TestStamps(t *testing.T) {
	want := time.Date(2026, 11, 22, 17, 21, 38, 0, time.UTC)
	for _, line := range []string{"Sun Nov 22 17:21:38 UTC 2026", "Sun Nov 22 18:21:38 CET 2026", "Sun Nov 22 12:21:38 EST 2026",
		"Sun Nov 22 05:21:38 PM UTC 2026", "Sun 22 Nov 2026 05:21:38 PM UTC", "Sun, 22 Nov 2026 17:21:38 +0000", "2026-11-22T17:21:38Z",
		"2026-11-22T19:21:38+02:00", "2026-11-22T17:21:38+0000", "2026-11-22T17:21:38,000000000+00:00", "2026-11-22 17:21:38", "1795368098", "@1795368098",
		"1795368098000", "1795368098.000000000", "# 1795368098", "[2026-11-22 17:21:38]", "==== Sun Nov 22 17:21:38 UTC 2026 ===="} {
		if got, ok := parseStamp(line); !ok || !got.Equal(want) {
			t.Errorf("parseStamp(%q) = %s, %v", line, got, ok)
		}
	}
	for _, line := range []string{"", "hello world", "100 1 5000 celery", "12345", "PID RSS", "2026", "179545689"} {
		if got, ok := parseStamp(line); ok {
			t.Errorf("parseStamp(%q) = %s", line, got)
		}
	}
}

func FuzzPS(f *testing.F) {
	f.Add("2026-11-22 12:00:00\nPID PPID RSS CMD\n5 1 10 celery worker\n")
	f.Add("1795456898\nSTARTED RSS PID\nSun Nov 22 10\n")
	f.Add("1795456898\nRSS ELAPSED CMD PID TIME\n1 1-1:1:1 python -m x 5 9-9\n")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := PS(strings.NewReader(in), "w")
		sound(t, r, err)
	})
}
