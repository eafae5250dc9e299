package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dropleak/dropleak/detector/formats"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/detector/synth"
)

// synthesize writes a made node in a format: synth csv l1 3 FILE. Directories
// are written by scrapes and collectd.
func synthesize(ts *testscript.TestScript, _ bool, args []string) {
	seed, err := strconv.ParseUint(args[2], 10, 64)
	ts.Check(err)
	path := ts.MkAbs(args[3])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	c, err := made(args[1], seed)
	ts.Check(err)
	switch args[0] {
	case "scrapes":
		ts.Check(writeScrapes(path, readings(c)))
	case "collectd":
		ts.Check(writeCollectd(path, readings(c)))
	default:
		ts.Check(writeFile(path, func(out io.Writer) error { return writeAs[args[0]](out, c) }))
	}
}

// made plays a node: two days, a reading every five minutes.
func made(family string, seed uint64) (synth.Case, error) {
	for _, f := range synth.Families() {
		if f.Name == family || strings.HasPrefix(f.Name, family+"_") || strings.HasPrefix(f.Name, family+" ") {
			return f.Make(seed, synth.Params{Days: 2, Every: 5 * time.Minute, Tasks: true}), nil
		}
	}
	return synth.Case{}, fmt.Errorf("no family %q", family)
}

func readings(c synth.Case) (out []sample.Process) {
	for _, l := range c.Worker.Lives {
		for _, s := range l.Samples {
			p := sample.Process{At: s.At, Worker: c.Worker.Name, Slot: l.Slot, Role: string(l.Role), PID: l.PID, Start: l.Start,
				RSS: s.RSS, PSS: s.PSS, USS: s.USS, Swap: s.Swap, CPU: s.CPU}
			if l.Slot != sample.SlotMain {
				p.PPID = c.Worker.Lives[0].PID
			}
			out = append(out, p)
		}
	}
	return out
}

// writeAs writes one made node into one file.
var writeAs = map[string]func(io.Writer, synth.Case) error{
	"csv":   func(out io.Writer, c synth.Case) error { return formats.WriteCSV(out, readings(c), nil) },
	"tasks": writeTasks,
	"ps": func(out io.Writer, c synth.Case) error {
		return eachPass(readings(c), func(at time.Time, rows []sample.Process) error {
			fmt.Fprintf(out, "%s\n    PID    PPID   RSS    VSZ COMMAND\n", at.Format("Mon Jan _2 15:04:05 MST 2006"))
			for _, p := range rows {
				fmt.Fprintf(out, "%7d %7d %7.0f %7.0f /usr/bin/python3 /usr/bin/celery -A shop worker -n mail@web1 -c 4\n", p.PID, p.PPID, p.RSS/1024, p.RSS/512)
			}
			return nil
		})
	},
	"mprof": func(out io.Writer, c synth.Case) error {
		fmt.Fprintln(out, "CMDLINE celery -A shop worker")
		return eachPass(readings(c), func(at time.Time, rows []sample.Process) error {
			for _, p := range rows {
				if p.Role == "parent" {
					fmt.Fprintf(out, "MEM %.6f %d.0000\n", p.RSS/(1<<20), at.Unix())
				}
			}
			for _, p := range rows {
				if p.Role != "parent" {
					fmt.Fprintf(out, "CHLD %d %.6f %d.0100\n", p.PID, p.RSS/(1<<20), at.Unix())
				}
			}
			return nil
		})
	},
	"openmetrics": func(out io.Writer, c synth.Case) error {
		for _, p := range readings(c) {
			fmt.Fprintf(out, "namedprocess_namegroup_memory_bytes{groupname=\"mail;%d\",memtype=\"resident\"} %g %d\n", p.PID, p.RSS, p.At.Unix())
		}
		_, err := fmt.Fprintln(out, "# EOF")
		return err
	},
	"promjson": func(out io.Writer, c synth.Case) error {
		type result struct {
			Metric map[string]string `json:"metric"`
			Values [][2]any          `json:"values"`
		}
		var list []result
		for _, l := range c.Worker.Lives {
			one := result{Metric: map[string]string{"__name__": "process_resident_memory_bytes", "job": "mail", "pid": strconv.Itoa(l.PID), "instance": "web1:9100"}}
			for _, s := range l.Samples {
				one.Values = append(one.Values, [2]any{s.At.Unix(), fmt.Sprint(s.RSS)})
			}
			list = append(list, one)
		}
		return json.NewEncoder(out).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": list}})
	},
}

func writeTasks(out io.Writer, c synth.Case) error {
	e := json.NewEncoder(out)
	for _, r := range c.Worker.Tasks {
		if err := e.Encode(map[string]any{"pid": r.PID, "start": r.Start.Unix(), "task": r.Task, "begin": float64(r.Begin.UnixMilli()) / 1000, "end": float64(r.End.UnixMilli()) / 1000}); err != nil {
			return err
		}
	}
	return nil
}

// eachPass hands the readings of each moment to use, in order.
func eachPass(rows []sample.Process, use func(time.Time, []sample.Process) error) error {
	by := map[time.Time][]sample.Process{}
	first, last := rows[0].At, rows[0].At
	for _, p := range rows {
		by[p.At] = append(by[p.At], p)
		if p.At.Before(first) {
			first = p.At
		}
		if p.At.After(last) {
			last = p.At
		}
	}
	for at := first; !at.After(last); at = at.Add(time.Second) {
		if pass := by[at]; pass != nil {
			if err := use(at, pass); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeScrapes(dir string, rows []sample.Process) error {
	return eachPass(rows, func(at time.Time, pass []sample.Process) error {
		return writeFile(filepath.Join(dir, fmt.Sprintf("metrics-%d.prom", at.Unix())), func(out io.Writer) error {
			fmt.Fprintln(out, "# TYPE namedprocess_namegroup_memory_bytes gauge")
			for _, p := range pass {
				fmt.Fprintf(out, "namedprocess_namegroup_memory_bytes{groupname=\"mail;%d\",memtype=\"resident\"} %g\n", p.PID, p.RSS)
			}
			return nil
		})
	})
}

// writeCollectd writes what collectd's processes plugin sees: one sum.
func writeCollectd(dir string, rows []sample.Process) error {
	files := map[string]*strings.Builder{}
	err := eachPass(rows, func(at time.Time, pass []sample.Process) error {
		day := at.Format("2006-01-02")
		if files[day] == nil {
			files[day] = &strings.Builder{}
			files[day].WriteString("epoch,value\n")
		}
		sum := 0.0
		for _, p := range pass {
			sum += p.RSS
		}
		fmt.Fprintf(files[day], "%d.123,%f\n", at.Unix(), sum)
		return nil
	})
	for day, b := range files {
		if err == nil {
			err = writeFile(filepath.Join(dir, "web1", "processes-mail", "ps_rss-"+day), func(out io.Writer) error {
				_, err := io.WriteString(out, b.String())
				return err
			})
		}
	}
	return err
}

func writeFile(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	var out io.Writer = f
	if strings.HasSuffix(path, ".gz") {
		z := gzip.NewWriter(f)
		if err := write(z); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		return f.Close()
	}
	if err := write(out); err != nil {
		return err
	}
	return f.Close()
}
