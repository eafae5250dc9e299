package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/configs"
)

func serveCommand(s streams) *cobra.Command {
	var path string
	var lease time.Duration
	cmd := &cobra.Command{
		Use:     "serve --config FILE",
		GroupID: "serve",
		Short:   "Run the service",
		Long: `Serve runs the service: it takes samples from agents and DigitalOcean, judges
them, reports in Slack, and carries out approved restarts. Secrets come from
the environment (see configs/dropleak.example.yaml). SIGTERM drains and exits
with 0; whatever was under way is taken up at the next start.

Exit status: 0 stopped in order, 1 trouble, 2 wrong usage or configuration, or
a store that another start does not mend: in use by another dropleak, made by a
newer one, or with its samples and without its state.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(s, path)
			if err != nil {
				return usage(err)
			}
			log, err := logger(s.talk, c.Log)
			if err != nil {
				return usage(err)
			}
			return serve(cmd.Context(), c, lease, log)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().DurationVar(&lease, "lease", 0, "how long a dead service's runs rest; shorter than ten seconds is for tests that kill it often")
	if err := cmd.Flags().MarkHidden("lease"); err != nil {
		panic(err) // it was defined in the line before
	}
	return cmd
}

// logger writes what the operator asked for, secrets hidden by whoever logs.
func logger(out io.Writer, c configs.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(out, o)), nil
	}
	return slog.New(slog.NewTextHandler(out, o)), nil
}

// serve opens the store, puts the service together and runs it until ctx
// ends.
func serve(ctx context.Context, c configs.Config, lease time.Duration, log *slog.Logger) (err error) {
	log.Info("dropleak starts", "version", version(), "store", store.Place(c.StoreDSN()))
	st, err := store.Open(ctx, c.StoreDSN(), store.Options{Log: log})
	if err != nil {
		return stopped(ctx, log, unopened(err))
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	deps, err := deps(c, st, log)
	if err != nil {
		return err
	}
	deps.Lease = lease
	service, err := bot.New(ctx, deps)
	if err != nil {
		return stopped(ctx, log, err)
	}
	return listenAndRun(ctx, c, service, log)
}

// unopened tells the store's refusals that another start does not mend from
// trouble that may pass.
func unopened(err error) error {
	var held *store.HeldError
	var newer *store.NewerError
	if errors.As(err, &held) || errors.As(err, &newer) || errors.Is(err, store.ErrStateLost) {
		return usage(err)
	}
	return err
}

// stopped is the error of a start that failed: none when it was told to stop
// meanwhile, for then it did what it was told.
func stopped(ctx context.Context, log *slog.Logger, err error) error {
	if ctx.Err() == nil {
		return err
	}
	log.Info("dropleak has stopped before it served", "while", err)
	return nil
}

// listenAndRun serves the paths while the service runs. It listens before it
// runs, so that a taken port is told at once.
func listenAndRun(ctx context.Context, c configs.Config, service *bot.Service, log *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	main := server(service.Handler(), log)
	listener, err := listen("listen", c.Listen)
	if err != nil {
		return err
	}
	go func() { cancel(serveOn(main, listener, c.TLS)) }()
	servers := []*http.Server{main}
	if c.MetricsListen != "" {
		metrics := server(service.Metrics(), log)
		metrics.ReadTimeout, metrics.WriteTimeout = 30*time.Second, time.Minute // no long poll, no body: nobody needs more
		listener, err := listen("metrics_listen", c.MetricsListen)
		if err != nil {
			return err
		}
		go func() { cancel(serveOn(metrics, listener, configs.TLS{})) }()
		servers = append(servers, metrics)
	}
	log.Info("dropleak serves", "version", version(), "listen", listener.Addr().String(), "metrics", c.MetricsListen, "mode", c.Mode, "time_scale", c.TimeScale)
	runErr := service.Run(ctx)
	drain, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	for _, s := range servers {
		if err := s.Shutdown(drain); err != nil {
			log.Warn("connections were cut at the end", "err", err)
		}
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		runErr = errors.Join(runErr, cause)
	}
	log.Info("dropleak has stopped")
	return runErr
}

// server answers on one address. Bodies have their own deadline where they
// are read, since a long poll needs more time than a body may take.
func server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
}

// listen opens the address that a key of the configuration names.
func listen(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %w; stop the program that has it, or set another port", key, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: %w; ports below 1024 are root's: take one above, behind a proxy", key, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return l, nil
}

func serveOn(s *http.Server, l net.Listener, keys configs.TLS) error {
	var err error
	if keys.Cert != "" {
		err = s.ServeTLS(l, keys.Cert, keys.Key)
	} else {
		err = s.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return context.Canceled
	}
	return err
}

// owner is unique among processes: replicas tell each other apart by it.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%d", host, os.Getpid(), time.Now().UnixMilli())
}
