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
	var problems configs.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			fmt.Fprintln(s.talk, p.Error())
		}
		noun := "problems"
		if len(problems) == 1 {
			noun = "problem"
		}
		return c, exitError{code: 1, err: fmt.Errorf("%s has %d %s", path, len(problems), noun)}
	}
	return c, err
}

func configFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "config", "", "the configuration `FILE`")
	_ = cmd.MarkFlagRequired("config")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}
