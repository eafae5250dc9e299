package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/configs"
)

// loadConfig reads the configuration a flag names; what is wrong with it is
// listed on talk, one problem a line.
func loadConfig(s streams, path string) (configs.Config, error) {
	c, err := configs.Load(path)
	return c, list(s, path, err)
}

// loadBeside is loadConfig for commands that work beside the service and need
// none of its tokens.
func loadBeside(s streams, path string) (configs.Config, error) {
	c, err := configs.LoadBeside(path)
	return c, list(s, path, err)
}

// list lists the problems of a configuration, if it is those that err is.
func list(s streams, path string, err error) error {
	var problems configs.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			fmt.Fprintln(s.talk, printable(p.Error()))
		}
		noun := "problems"
		if len(problems) == 1 {
			noun = "problem"
		}
		return listed{fmt.Errorf("%s has %d %s", path, len(problems), noun), problems}
	}
	return err
}

// listed is what remains to be said of problems that were listed.
type listed struct {
	error
	problems configs.Problems
}

func (l listed) Unwrap() error { return l.problems }

func configFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "config", "", "the configuration `FILE`")
	_ = cmd.MarkFlagRequired("config")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

func checkCommand(s streams) *cobra.Command {
	var path string
	var online, ring bool
	cmd := &cobra.Command{
		Use:     "check --config FILE",
		GroupID: "serve",
		Short:   "Check the configuration, and with --online what it speaks to",
		Long: `Check reads the configuration and the secrets in the environment and lists
every problem with its line and column. With --online it also asks
DigitalOcean and Slack whether the tokens are good, proves in Slack what the
service will need (scopes, sockets, its channels, uploads, approvers) without
anybody seeing it, and opens the store. What is missing comes with how to
mend it. With --ring it calls every endpoint of alerts: once, with a trial
alert that is taken back at once; whoever is on call may hear it.

Exit status: 0 good, 1 problems, 2 wrong usage, or no such file.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(s, path)
			var problems configs.Problems
			switch {
			case errors.As(err, &problems):
				return exitError{code: 1, err: err}
			case err != nil: // there is nothing to check
				return usage(err)
			}
			fmt.Fprintf(s.out, "ok    %s\n", path)
			var asked []question
			if online {
				asked = questions(c, firstWithin)
			}
			if ring {
				asked = append(asked, rings(c)...)
			}
			return ask(cmd.Context(), s.out, asked)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&online, "online", false, "ask DigitalOcean and Slack, and open the store")
	cmd.Flags().BoolVar(&ring, "ring", false, "call every endpoint of alerts: with a trial alert")
	return cmd
}
