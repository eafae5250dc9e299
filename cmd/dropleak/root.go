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
the worker and checks that memory came back.

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
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	cmd.AddGroup(
		&cobra.Group{ID: "look", Title: "Look, offline:"},
		&cobra.Group{ID: "serve", Title: "Run the service:"},
		&cobra.Group{ID: "operate", Title: "Operate it:"},
	)
	cmd.SetHelpCommandGroupID("serve")
	cmd.SetCompletionCommandGroupID("serve")
	cmd.AddCommand(commands(s)...)
	judgeArgs(cmd)
	return cmd
}

// judgeArgs makes wrong arguments and missing flags exit with 2, of a command
// and all below it.
func judgeArgs(cmd *cobra.Command) {
	cmd.Args = usageArgs(cmd.Args)
	cmd.PreRunE = func(c *cobra.Command, _ []string) error { return usage(c.ValidateRequiredFlags()) }
	for _, c := range cmd.Commands() {
		judgeArgs(c)
	}
}

// usageArgs makes wrong arguments exit with 2.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		return nil
	}
	return func(cmd *cobra.Command, args []string) error { return usage(check(cmd, args)) }
}
