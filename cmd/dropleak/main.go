// Command dropleak finds Celery workers that leak memory on DigitalOcean
// droplets, reports them in Slack, and restarts them after a snapshot when
// somebody who may says so.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/dropleak/dropleak/cmd/dropleak/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks, the second ends: what waits for input or for a
	// slow peer does not look at ctx.
	defer context.AfterFunc(ctx, stop)()
	if code, played := demo.Part(ctx); played {
		os.Exit(code) // the demo started this program again to play a worker
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it. It returns the exit
// code: 0 done, 1 something was found or went wrong, 2 usage.
func run(ctx context.Context, args []string, in io.Reader, out, talk io.Writer) int {
	cmd := root(streams{in: in, out: out, talk: talk})
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	var exit exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintf(talk, "dropleak: %v\n", exit.err)
		}
		return exit.code
	}
	fmt.Fprintf(talk, "dropleak: %v\n", err)
	return 1
}

// exitError carries the exit code out of a command. A nil err has been said
// already.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// usage is a mistake in how the program was called.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return exitError{code: 2, err: err}
}

// interrupted is the exit code of a command that a signal ended, as of a shell.
const interrupted = 130

// interruptible ends a command at the first signal though it waits for its
// input, which knows no ctx. Its exit code is none that means a verdict.
func interruptible(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		if ctx.Err() == nil {
			return err
		}
	case <-ctx.Done():
	}
	return exitError{code: interrupted, err: errors.New("interrupted")}
}
