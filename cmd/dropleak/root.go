package main

import (
	"io"

	"github.com/spf13/cobra"
)

// streams are where a command reads and writes: results on out, notes and
// progress on talk, so that results can be piped.
type streams struct {
	in        io.Reader
	out, talk io.Writer
}

// root is the command tree.
func root(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dropleak",
		Short: "Find Celery workers that leak memory, and restart them safely",
		Long: `dropleak finds Celery workers that leak memory on DigitalOcean droplets, reports
them in Slack with a chart, and on one click snapshots the droplet, restarts
the worker and checks that memory was freed.

Begin with "dropleak demo" (no account needed), or judge a file you have with
"dropleak scan FILE".`,
		Version:       built().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetVersionTemplate("{{.Version}}\n")
	cmd.SetIn(s.in)
	cmd.SetOut(s.out)
	cmd.SetErr(s.talk)
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return misused(c, flagError(err)) })
	cmd.AddGroup(
		&cobra.Group{ID: "look", Title: "Look, offline:"},
		&cobra.Group{ID: "serve", Title: "Run the service:"},
		&cobra.Group{ID: "operate", Title: "Operate it:"},
	)
	cmd.SetHelpCommandGroupID("serve")
	cmd.SetCompletionCommandGroupID("serve")
	cmd.AddCommand(commands(s)...)
	cmd.InitDefaultHelpCmd()
	cmd.InitDefaultCompletionCmd("completion")
	judgeUse(cmd)
	return cmd
}
