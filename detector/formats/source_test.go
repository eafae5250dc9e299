package formats

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	csvText   = "time,value\n1,2\n2,3\n"
	mprofText = "CMDLINE x\nMEM 5 1\nMEM 6 2\n"
	psText    = "2026-11-22 12:00:00\nPID PPID RSS CMD\n5 1 10 celery worker\n"
	promText  = "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 5\n"
	omText    = "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 5 1\n# EOF\n"
	dumpText  = "process_resident_memory_bytes 5 1000\nprocess_resident_memory_bytes 6 2000\n"
	vector    = `{"data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1,"2"]}]}}`
	matrix    = `{"data":{"resultType":"matrix","result":[{"metric":{"job":"a"},"values":[[1,"2"],[2,"3"]]}]}}`
	tableText = "Filename: /srv/tasks.py\n\nLine #    Mem usage    Increment  Occurrences   Line Contents\n" +
		"=============================================================\n" +
		"     3     38.8 MiB     38.8 MiB           1   @profile\n     4                                         def build():\n" +
		"     5     46.5 MiB      7.7 MiB           2       kept.append([0] * 10 ** 6)\n     6     46.4 MiB     -0.1 MiB           1       tidy()\n\n\n"
)

func TestDetect(t *testing.T) {
	for in, want := range map[string]Format{
		csvText: FormatCSV, "rss, Time\n": FormatCSV, "\ufefftime,value\n": FormatCSV, mprofText: FormatMProf, "MEM 1.0 2.0\r\n": FormatMProf, psText: FormatPS,
		"USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND\n": FormatPS, promText: FormatPrometheus, "up 1\n": FormatPrometheus, omText: FormatOpenMetrics,
		dumpText: FormatPrometheus, `{__name__="up"} 1 2`: FormatPrometheus, vector: FormatPromJSON, "[ {\n\"metric\":{}}]": FormatPromJSON, "epoch,value\n": FormatCollectd,
		tableText: FormatLineTable, "": "", "hello\n": "", "\x00\x01\x02": "", "{": "",
	} {
		if got := Detect([]byte(in)); got != want {
			t.Errorf("Detect(%.30q) = %q, want %q", in, got, want)
		}
	}
	if got := Detect([]byte(matrix + strings.Repeat(" ", HeadSize))[:HeadSize]); got != FormatPromJSON {
		t.Errorf("a single long line is %q", got)
	}
	long := csvText + strings.Repeat("1,2\n", HeadSize/4)
	if got := Detect([]byte(long)[:HeadSize]); got != FormatCSV {
		t.Errorf("a cut head is %q", got)
	}
}

// TestGather holds what belongs together to one source, under the directory's
// path, in the order of time.
func TestGather(t *testing.T) {
	tree := []struct{ path, content string }{
		{"d/a.csv", csvText}, {"d/b.csv", csvText}, {"d/b.csv.1", csvText}, {"d/b.csv.gz", csvText}, {"d/c.1", csvText}, {"d/c.2", csvText},
		{"d/mprofile_1.dat", mprofText}, {"d/mprofile_2.dat", mprofText},
		{"d/logs/ps.log", psText}, {"d/logs/ps.log.1", psText}, {"d/logs/ps.log.10.gz", psText}, {"d/logs/ps.log.2.gz", psText},
		{"d/dated/ps.log", psText}, {"d/dated/ps.log-20261121", psText}, {"d/dated/ps.log-20261120.gz", psText},
		{"d/scrapes/1795456898.prom", promText}, {"d/scrapes/1795456958.om", omText},
		{"d/vectors/1.json", vector}, {"d/vectors/2.json", vector}, {"d/vectors/m.json", matrix}, {"d/dump.om", dumpText}, {"d/single/1795456898.prom", promText},
		{"d/cd/web1/memory/memory-free-2026-11-22", "epoch,value\n"}, {"d/cd/web1/processes-mail/ps_rss-2026-11-22", "epoch,value\n"},
		{"d/cd/web2/processes-mail/ps_rss-2026-11-22", "epoch,value\n"}, {"d/README", "hello"},
	}
	var files []File
	for _, f := range tree {
		files = append(files, text(f.path, f.content, at(0)))
	}
	var got []string
	for _, s := range Gather("d", files, "") {
		var names []string
		for _, f := range s.Files {
			names = append(names, strings.TrimPrefix(f.Path, "d/"))
		}
		got = append(got, fmt.Sprintf("%s %s %s: %s", s.Path, s.Name, s.Format, strings.Join(names, " ")))
	}
	want := []string{
		"d/a.csv a csv: a.csv", "d b csv: b.csv.1 b.csv", "d/b.csv.gz b csv: b.csv.gz", "d/c.1 c csv: c.1", "d/c.2 c csv: c.2",
		"d/mprofile_1.dat mprofile_1 mprof: mprofile_1.dat", "d/mprofile_2.dat mprofile_2 mprof: mprofile_2.dat",
		"d/logs ps ps: logs/ps.log.10.gz logs/ps.log.2.gz logs/ps.log.1 logs/ps.log",
		"d/dated ps ps: dated/ps.log-20261120.gz dated/ps.log-20261121 dated/ps.log",
		"d/scrapes scrapes prometheus: scrapes/1795456898.prom scrapes/1795456958.om", "d/vectors vectors promjson: vectors/1.json vectors/2.json",
		"d/vectors/m.json m promjson: vectors/m.json", "d/dump.om dump prometheus: dump.om", "d/single/1795456898.prom 1795456898 prometheus: single/1795456898.prom",
		"d/cd/web1 web1 collectd: cd/web1/memory/memory-free-2026-11-22 cd/web1/processes-mail/ps_rss-2026-11-22",
		"d/cd/web2 web2 collectd: cd/web2/processes-mail/ps_rss-2026-11-22", "d/README README : README",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestScrapesOfARun(t *testing.T) {
	files := []File{text("d/1795456898.prom", promText, at(0)), text("d/1795456958.prom", strings.ReplaceAll(promText, " 5", " 7"), at(0)), text("d/1795456999.prom", "process_resident_memory_bytes\n", at(0))}
	r, err := Gather("d", files, "")[0].Read(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range r.Processes {
		got = append(got, fmt.Sprintf("%d %s %v", p.At.Unix(), p.Worker, p.RSS))
	}
	if diff := cmp.Diff([]string{"1795456898 d 5", "1795456958 d 7"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCollectd(t *testing.T) {
	tree := map[string]string{
		"web1/processes-mail/ps_rss-2026-11-22":     "epoch,value\n1795456898.123,100\n1795456908.124,nan\n1795456918.120,200\noops\n",
		"web1/processes-mail/ps_rss-2026-11-23":     "epoch,value\n1795543298.1,300\n",
		"web1/processes-mail/ps_cputime-2026-11-22": "epoch,user,syst\n1795456898.124,1000000,500000\n",
		"web1/processes-mail/ps_vm-2026-11-22":      "epoch,value\n1795456898.1,900\n",
		"web1/memory/memory-free-2026-11-22":        "epoch,value\n1795456898.1,10\n",
		"web1/memory/memory-used-2026-11-22":        "epoch,value\n1795456898.2,50\n",
		"web1/memory/memory-cached-2026-11-22":      "epoch,value\n1795456898.3,40\n",
	}
	var files []File
	for path, content := range tree {
		files = append(files, text("/csv/"+path, content, at(0)))
	}
	sources := Gather("/csv", files, "")
	if len(sources) != 1 || sources[0].Path != "/csv/web1" {
		t.Fatalf("%+v", sources)
	}
	r, err := sources[0].Read(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range r.Processes {
		got = append(got, fmt.Sprintf("%d %s@%s %v %v", p.At.Unix(), p.Worker, p.Droplet, p.RSS, p.CPU))
	}
	if diff := cmp.Diff([]string{"1795456898 mail@web1 100 1.5", "1795456918 mail@web1 200 NaN", "1795543298 mail@web1 300 NaN"}, got); diff != "" {
		t.Error(diff)
	}
	if len(r.Droplets) != 1 || r.Droplets[0].Available != 50 || r.Droplets[0].Total != 100 {
		t.Errorf("droplet %+v", r.Droplets)
	}
	if !strings.Contains(fmt.Sprint(r.Notes), `{5 ps_rss-2026-11-22: "oops" is no row of collectd}`) || !strings.Contains(fmt.Sprint(r.Notes), "1 files of other plugins") {
		t.Errorf("notes %v", r.Notes)
	}
}

func TestLineTables(t *testing.T) {
	r := reading(t, "x", tableText+tableText, Options{})
	if diff := cmp.Diff([]string{"tasks.py:5 grew 15.4 MiB in 2 tables: kept.append([0] * 10 ** 6)."}, r.Evidence); diff != "" {
		t.Error(diff)
	}
	if _, err := LineTables(strings.NewReader("Line #    Mem usage    Increment  Occurrences\n")); err == nil {
		t.Error("an empty table gave no error")
	}
}

// TestCutShort keeps what was read before a file broke off.
func TestCutShort(t *testing.T) {
	f := File{Path: "w.csv", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(csvText), broken{})), nil
	}}
	r, err := One(f, FormatCSV).Read(Options{})
	if err != nil || len(r.Processes) != 2 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Text, "read up to here only") {
		t.Errorf("%+v, %v", r, err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestLongLines(t *testing.T) {
	r := reading(t, "x", mprofText+"MEM "+strings.Repeat("9", maxLine)+" 3\nMEM 7 4\n", Options{})
	if len(r.Processes) != 3 || len(r.Notes) != 1 || r.Notes[0].Line != 4 {
		t.Errorf("%d samples, notes %v", len(r.Processes), r.Notes)
	}
}

func FuzzCollectd(f *testing.F) {
	f.Add("epoch,value\n1,2\n1,nan\n", "h/processes-a/ps_rss-2026-11-22")
	f.Add("epoch,user,syst\n1,2\n-1,1e300,5\n", "h/processes-a/ps_cputime")
	f.Fuzz(func(t *testing.T, in, path string) {
		r, err := One(text(path, in, at(0)), FormatCollectd).Read(Options{})
		sound(t, r, err)
	})
}

func FuzzDetect(f *testing.F) {
	for _, s := range []string{csvText, mprofText, psText, promText, omText, vector, matrix, tableText, "epoch,value\n1,2\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, s := range Gather("d", []File{text("d/a/b-c/1795456898", in, at(0)), text("d/a/b-c/1795456899", in, at(0))}, "") {
			r, err := s.Read(Options{})
			sound(t, r, err)
		}
	})
}

func FuzzLineTables(f *testing.F) {
	f.Add(tableText)
	f.Add(strings.ReplaceAll(tableText, "7.7 MiB", strings.Repeat("9", 308)+".0 MiB"))
	f.Add(strings.Replace(tableText, "kept", "\x1b[31mke\x00pt\u202e", 1))
	f.Fuzz(func(t *testing.T, in string) {
		r, err := LineTables(strings.NewReader(in))
		if len(r.Processes) > 0 || err == nil && len(r.Evidence) == 0 && len(r.Notes) == 0 {
			t.Errorf("%d samples of a table without times, %d sentences, error %v", len(r.Processes), len(r.Evidence), err)
		}
		for _, s := range r.Evidence {
			if strings.ContainsAny(s, "\n") || strings.Contains(s, "NaN") || strings.Contains(s, "Inf") {
				t.Errorf("evidence %q", s)
			}
		}
	})
}
