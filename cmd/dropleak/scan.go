package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/configs"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/formats"
)

// scanFlags is how a scan was asked for.
type scanFlags struct {
	format, metric, limit, tasks, png string
	compare, json                     bool
	group                             string // pattern of process-exporter's groupname

	limitBytes float64
	groupname  *regexp.Regexp
	runs       []detector.TaskRun
}

var errLeak = exitError{code: 1}

func scanCommand(s streams) *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:     "scan [flags] FILE|DIR|- ...",
		GroupID: "look",
		Short:   "Judge recordings of memory: which worker leaks, since when, how fast",
		Long: `Scan judges files of memory samples, offline: no account, network or
configuration. It prints one row a worker, worst first, and why.

What a file is, its content says:
  csv          a header row with time (seconds on any origin, or RFC 3339) and
               value or any of rss, pss, uss, swap (bytes); optional pid, ppid,
               start, role, worker, droplet, held (tasks that the worker's
               main process holds until their ETA or countdown)
  mprof        what "mprof run" records
  ps           a log of date and ps -o pid,ppid,rss,args (any columns)
  prometheus   text of an exporter; openmetrics likewise
  promjson     answers of Prometheus' HTTP API
  collectd     the tree of collectd's csv plugin
Gzip is read through; a directory is read recursively, and files that form one
source (rotated logs, a run of scrapes, a collectd host) are judged as one; -
is standard input.

SINCE and RUNS OUT count from a recording's last sample.

Exit status: 0 no worker leaks, 1 some worker leaks, 2 wrong usage, a file
without a usable row, or a result that could not be written. With --compare it
is the time after that counts.`,
		Example: `  dropleak scan worker.csv
  dropleak scan --limit 1.5GiB --png leak.png samples/
  dropleak scan --compare before.csv after.csv
  zcat old.csv.gz | dropleak scan --json -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return interruptible(cmd.Context(), func() error {
				if err := f.check(s, args); err != nil {
					return usage(err)
				}
				out := &written{Writer: s.out}
				s.out = out
				judge := scan
				if f.compare {
					judge = scanCompare
				}
				if err := judge(cmd.Context(), s, f, args); out.err == nil {
					return err
				}
				return usage(fmt.Errorf("print: %w", out.err)) // 1 would say that some worker leaks
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "auto", "the `FORMAT` of the files: "+strings.Join(layouts, ", "))
	flags.StringVar(&f.group, "groupname", "", "`PATTERN` that finds (?P<worker>…) and (?P<pid>…) in process-exporter's groupname")
	flags.StringVar(&f.metric, "metric", "", "judge `rss|pss|uss` instead of the best there is")
	flags.StringVar(&f.limit, "limit", "", "memory a worker may use, for the time left: `SIZE` such as 1.5GiB")
	flags.StringVar(&f.tasks, "tasks", "", "rank task names by what a call leaves behind; `FILE.jsonl`[.gz]")
	flags.StringVar(&f.png, "png", "", "draw the worst worker into `FILE` (several: FILE-WORKER.png)")
	flags.BoolVar(&f.compare, "compare", false, "compare two files: did the fix work?")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	completeWith(cmd, "format", layouts...)
	completeWith(cmd, "metric", "rss", "pss", "uss")
	_ = cmd.MarkFlagFilename("tasks", "jsonl", "gz")
	_ = cmd.MarkFlagFilename("png", "png")
	return cmd
}

// written remembers why not all could be written.
type written struct {
	io.Writer
	err error
}

func (w *written) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.err = cmp.Or(w.err, err)
	return n, err
}

// check reads the flags that carry values.
func (f *scanFlags) check(s streams, args []string) error {
	group, err := checkReading(f.format, f.group)
	if err != nil {
		return err
	}
	f.groupname = group
	switch f.metric {
	case "", "rss", "pss", "uss":
	default:
		return fmt.Errorf("--metric %q is none of rss, pss, uss", f.metric)
	}
	if f.limit != "" {
		size, err := configs.ParseSize(f.limit)
		if err != nil {
			return fmt.Errorf("--limit %w", err)
		}
		if size == 0 {
			return errors.New("--limit 0 leaves no memory: give the bytes that a worker may use")
		}
		f.limitBytes = float64(size)
	}
	if f.compare {
		if err := f.checkCompare(args); err != nil {
			return err
		}
	}
	if f.png != "" {
		if info, err := os.Stat(filepath.Dir(f.png)); err != nil || !info.IsDir() {
			return fmt.Errorf("--png %s: there is no directory %s", f.png, filepath.Dir(f.png))
		}
	}
	if f.tasks != "" {
		runs, cut, err := readTasks(f.tasks)
		if err != nil {
			return fmt.Errorf("--tasks %w", err)
		}
		if cut {
			fmt.Fprintf(s.talk, "dropleak: %s: the last line was cut off and is not read\n", printable(f.tasks))
		}
		f.runs = runs
	}
	return nil
}

// checkCompare refuses what would be asked for and not done.
func (f *scanFlags) checkCompare(args []string) error {
	for name, value := range map[string]string{"limit": f.limit, "png": f.png, "tasks": f.tasks} {
		if value != "" {
			return fmt.Errorf("--compare tells growth before and after and knows no --%s: ask for that in a scan by itself", name)
		}
	}
	if len(args) != 2 {
		return errors.New("--compare takes two files: BEFORE AFTER")
	}
	return nil
}

// layouts are the values of --format.
var layouts = []string{"auto", string(formats.FormatCSV), string(formats.FormatMProf), string(formats.FormatPS), string(formats.FormatPrometheus),
	string(formats.FormatOpenMetrics), string(formats.FormatPromJSON), string(formats.FormatCollectd)}

// checkReading reads the flags that say how files are read.
func checkReading(format, group string) (*regexp.Regexp, error) {
	if !slices.Contains(layouts, format) {
		return nil, fmt.Errorf("--format %q is none of %s", format, strings.Join(layouts, ", "))
	}
	if group == "" {
		return nil, nil
	}
	pattern, err := regexp.Compile(group)
	if err != nil {
		return nil, fmt.Errorf("--groupname: %w", err)
	}
	if pattern.SubexpIndex("worker") < 0 {
		return nil, fmt.Errorf("--groupname %q has no group (?P<worker>…)", group)
	}
	return pattern, nil
}

// layoutOf is the format asked for, "" for auto.
func layoutOf(flag string) formats.Format {
	if flag == "auto" {
		return ""
	}
	return formats.Format(flag)
}

// reading are the readers' options, from the flags.
func (f scanFlags) reading() formats.Options { return formats.Options{Groupname: f.groupname} }

// options are the detector's, from the flags.
func (f scanFlags) options(valueOnly bool) detector.Options {
	o := detector.Options{Metric: f.metric}
	if valueOnly {
		o.Metric = "rss" // a bare value is kept there
	}
	return o
}

// lastSample is "now" for a recording: its newest sample.
func lastSample(w detector.Worker) (last time.Time) {
	for _, l := range w.Lives {
		if n := len(l.Samples); n > 0 && l.Samples[n-1].At.After(last) {
			last = l.Samples[n-1].At
		}
	}
	return last
}

// completeWith lets a shell complete a flag's values.
func completeWith(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
