package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/configs"
)

func probeCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "probe",
		GroupID: "serve",
		Short:   "Have Celery tell which task leaks",
		Long: `Probe is about the small Python file that a team may drop into its Celery
application, so that findings name the task that leaks and runs what grew inside
the process. See docs/sources/probe.md.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(probeAsk(s), &cobra.Command{
		Use:   "print",
		Short: "Print dropleak_probe.py",
		Long: `Print writes dropleak_probe.py to standard output. Put it beside the Celery
application and import it there.`,
		Example: `  dropleak probe print >dropleak_probe.py`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(s.out, configs.CeleryProbe)
			return err
		},
	})
	return cmd
}
