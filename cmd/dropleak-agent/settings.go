package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/agent"
	"github.com/dropleak/dropleak/bot/order"
)

// settings is what flags and environment say.
type settings struct {
	opts    agent.Options
	once    string // "table", "json" or "" for no
	version bool
	level   slog.Level
}

const usage = `dropleak-agent samples the memory of Celery workers and carries out approved restarts.

Usage:
  dropleak-agent --server https://HOST --token-file FILE [flags]
  dropleak-agent --once             print what the agent sees, and end

Every flag can be given as environment variable instead: --spool-max as
DROPLEAK_SPOOL_MAX. A flag wins over its variable.

Flags:
`

// parse reads the flags, and for those not given the environment.
func parse(args []string, env func(string) string, help io.Writer) (settings, error) {
	s := settings{}
	f := flag.NewFlagSet("dropleak-agent", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o := &s.opts
	f.StringVar(&o.Server, "server", "", "address of the service, https://`HOST`[:PORT]")
	f.StringVar(&o.TokenFile, "token-file", "", "`FILE` that holds the token from `dropleak token create`")
	f.Func("allow", "unit that may be restarted, `KIND:UNIT` with systemd or supervisor as kind; repeat it, or separate by commas", func(v string) error {
		return allow(o, v)
	})
	f.StringVar(&o.Spool, "spool", agent.DefaultSpool, "`DIR` for samples not yet delivered and for the journal of orders")
	o.SpoolMax = agent.DefaultSpoolMax
	f.Func("spool-max", "largest `SIZE` of the spool; beyond it the oldest samples go (default 64MiB)", func(v string) (err error) {
		o.SpoolMax, err = size(v)
		return err
	})
	o.Every = agent.DefaultEvery
	f.Func("every", "`TIME` between two passes, such as 30s (default 1m)", func(v string) error { return every(o, v) })
	f.BoolVar(&o.Insecure, "insecure", false, "send the token over http:// to other hosts too")
	f.BoolVar(&o.HugePSS, "huge-pss", false, "read PSS and USS of processes above 4 GiB too; costs 35 µs a MiB with the process's memory locked")
	f.StringVar(&o.SupervisorConfig, "supervisor-config", "", "supervisord's configuration `FILE`, where its processes do not tell")
	f.StringVar(&o.Probe, "probe", agent.DefaultProbe, "`SOCKET` to which the probe in Celery's processes reports what ran; empty for none")
	f.StringVar(&o.MetadataURL, "metadata-url", agent.MetadataURL, "`URL` that tells the droplet's id")
	f.TextVar(&s.level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	f.Var(&onceFlag{&s.once}, "once", "take one pass, print it and end; --once=json for machines")
	f.BoolVar(&s.version, "version", false, "print the version and end")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, usage)
			f.SetOutput(help)
			f.PrintDefaults()
		}
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return s, fromEnv(f, env)
}

// fromEnv fills in the flags that were not given.
func fromEnv(f *flag.FlagSet, env func(string) string) error {
	given := map[string]bool{"once": true, "version": true}
	f.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
	var errs []error
	f.VisitAll(func(fl *flag.Flag) {
		name := "DROPLEAK_" + strings.ToUpper(strings.ReplaceAll(fl.Name, "-", "_"))
		if v := env(name); v != "" && !given[fl.Name] {
			if err := f.Set(fl.Name, v); err != nil {
				errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
			}
		}
	})
	return errors.Join(errs...)
}

// every reads the time between two passes. The options take none for the
// default, and nobody who says 0s means that.
func every(o *agent.Options, v string) error {
	d, err := time.ParseDuration(v)
	switch {
	case err != nil:
		return errors.New("it is not a duration such as 30s or 5m")
	case d < time.Second:
		return errors.New("at least 1s")
	}
	o.Every = d
	return nil
}

func allow(o *agent.Options, v string) error {
	for _, part := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }) {
		u, err := order.ParseUnit(part)
		if err != nil {
			return err
		}
		o.Allow = append(o.Allow, u)
	}
	return nil
}

// onceFlag is a boolean flag that also takes a format.
type onceFlag struct{ to *string }

// String is the format chosen.
func (o *onceFlag) String() string {
	if o.to == nil {
		return ""
	}
	return *o.to
}

// Set takes true, false, table or json.
func (o *onceFlag) Set(v string) error {
	switch v {
	case "true", "table":
		*o.to = "table"
	case "json":
		*o.to = "json"
	case "false":
		*o.to = ""
	default:
		return fmt.Errorf("%q is no format: want table or json", v)
	}
	return nil
}

// IsBoolFlag lets the flag stand without a value.
func (o *onceFlag) IsBoolFlag() bool { return true }

// units of sizes; bare letters are binary, as systemd has them.
var units = []struct {
	suffix string
	factor float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30},
}

// size reads bytes, 64MiB, 1.5G and the like.
func size(s string) (int64, error) {
	digits, factor := strings.TrimSpace(s), 1.0
	for _, u := range units {
		if d, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, factor = strings.TrimSpace(d), u.factor
			break
		}
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(n) || n <= 0 || n*factor > 1<<50 {
		return 0, fmt.Errorf("%q is no size: want bytes, or 64MiB and the like", s)
	}
	return int64(n * factor), nil
}
