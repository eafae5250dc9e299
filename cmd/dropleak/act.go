package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/user"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot"
	"github.com/dropleak/dropleak/bot/store"
)

// actFlags are those of the commands that do what buttons do.
type actFlags struct {
	config, as string
	yes, json  bool
}

var slackUser = regexp.MustCompile(`^[UW][A-Z0-9]{2,}$`)

func (a *actFlags) add(cmd *cobra.Command) {
	configFlag(cmd, &a.config)
	cmd.Flags().StringVar(&a.as, "as", "", "the Slack `USER` id (U…, W…) whose word this is")
	_ = cmd.MarkFlagRequired("as")
	cmd.Flags().BoolVar(&a.yes, "yes", false, "do not ask first")
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slackUser.MatchString(a.as) {
			return usage(errors.New("--as wants a Slack user id, such as U0123456789; a profile's menu in Slack copies it"))
		}
		return run(cmd, args)
	}
}

// withService runs fn on the service put together beside the one that runs:
// it has the whole configuration and asks Slack and agents, but drives nothing.
func withService(ctx context.Context, s streams, path string, fn func(*bot.Service) error) (err error) {
	c, err := loadConfig(s, path)
	if err != nil {
		return usage(err)
	}
	st, err := store.Open(ctx, c.StoreDSN(), store.Options{Beside: true, Existing: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	log := slog.New(slog.NewTextHandler(s.talk, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d, err := deps(c, st, log)
	if err != nil {
		return err
	}
	b, err := bot.New(ctx, d)
	if err != nil {
		return err
	}
	return fn(b)
}

// via says for the audit log that a decision came from here, and by whom.
func via() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	me := strings.TrimPrefix(operator(), "cli:")
	who := "on the command line, by operating-system user " + me
	if login := loginUser("/proc/self/loginuid"); login != "" && login != me {
		who += " (logged in as " + login + ")"
	}
	return who + " on " + host
}

// loginUser is who logged in, as the kernel has it whatever sudo and runuser
// made of them since; empty where it does not know.
func loginUser(path string) string {
	text, err := os.ReadFile(path)
	uid := strings.TrimSpace(string(text))
	if err != nil || uid == "" || uid == "4294967295" { // -1: nobody logged in
		return ""
	}
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "uid " + uid
}
