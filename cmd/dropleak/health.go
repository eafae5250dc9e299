package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/configs"
)

func healthCommand(s streams) *cobra.Command {
	var path string
	var ready bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:     "health --config FILE",
		GroupID: "operate",
		Short:   "Ask the service on this machine whether it lives",
		Long: `Health asks the service that runs on this machine with the same configuration
for /healthz, or with --ready for /readyz, whose answer it prints: how Slack,
DigitalOcean and the store stand. It needs no secrets. With --wait it asks again
until the answer is good or the time is over, as after a start.

Exit status: 0 good, 1 not good or not there, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadBeside(s, path)
			if err != nil {
				return usage(err)
			}
			return healthy(cmd.Context(), s, c, ready, wait)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().DurationVar(&wait, "wait", 0, "ask again for so long, as in 30s")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it is ready for work, and how what it needs stands")
	return cmd
}

// healthy asks until the answer is good or wait is over, and says the last.
func healthy(ctx context.Context, s streams, c configs.Config, ready bool, wait time.Duration) error {
	until := time.Now().Add(wait)
	for {
		err := health(ctx, s, c, ready)
		if err == nil || !time.Now().Before(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// health asks the service at the configured address.
func health(ctx context.Context, s streams, c configs.Config, ready bool) error {
	address, err := dialable(c.Listen)
	if err != nil {
		return usage(err)
	}
	scheme, page := "http", "/healthz"
	if c.TLS.Cert != "" {
		scheme = "https"
	}
	if ready {
		page = "/readyz"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+page, nil)
	if err != nil {
		return usage(err)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// The certificate is for the name that agents use, and this machine is
		// asked by its address. No secret is sent, and nothing is believed but
		// that somebody answers.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no service answers on %s, as listen has it: %w", c.Listen, reason(err))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("read %s: %w", page, err)
	}
	said := printable(strings.TrimSpace(string(body)))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", page, resp.Status, said)
	}
	fmt.Fprintln(s.out, said)
	return nil
}

// reason is what went wrong with a request, without the request.
func reason(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// dialable turns what the service listens on into what a client on the same
// machine dials: no host, or the one that means all, is loopback.
func dialable(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("listen %q: %w", listen, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}
