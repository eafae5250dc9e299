// Command dropleak-agent samples the memory of a droplet's Celery workers,
// ships it to the dropleak service, and restarts the units it is allowed to
// when a person approved it there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/dropleak/dropleak/bot/agent"
)

// version is set by the linker for releases.
var version = ""

func main() {
	tune()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// tune keeps the agent small beside what it watches: the collector runs
// often and early. Measured in docs/agent-cost.md.
func tune() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(16 << 20)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// run is the program: 0 good, 1 trouble while running, 2 usage.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	s, err := parse(args, env, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "dropleak-agent: %v\nhint: dropleak-agent --help lists the flags\n", err)
		return 2
	case s.version:
		fmt.Fprintf(stdout, "dropleak-agent %s\n", buildVersion())
		return 0
	}
	s.opts.Version = buildVersion()
	s.opts.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: s.level}))
	if s.once != "" {
		err = printOnce(s, time.Now(), stdout, stderr)
	} else {
		err = serve(ctx, s)
	}
	if err != nil {
		fmt.Fprintf(stderr, "dropleak-agent: %v\n", err)
		return exitCode(err)
	}
	return 0
}

// usageError is a mistake in flags or environment, found late.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func exitCode(err error) int {
	if errors.As(err, &usageError{}) {
		return 2
	}
	return 1
}

func serve(ctx context.Context, s settings) error {
	a, err := agent.New(s.opts)
	if err != nil {
		return usageError{err}
	}
	return a.Run(ctx)
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
