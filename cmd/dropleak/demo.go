package main

import (
	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/cmd/dropleak/demo"
)

// demoListen is where the page is, unless somebody is there already.
const demoListen = "127.0.0.1:8321"

func demoCommand(s streams) *cobra.Command {
	o := demo.Options{Out: s.out, Talk: s.talk}
	var story bool
	var fault string
	cmd := &cobra.Command{
		Use:     "demo [--story] [--fault FAULT]",
		GroupID: "look",
		Short:   "Play the whole job on this machine; no account needed",
		Long: `Demo starts a simulated Slack and a simulated DigitalOcean on loopback, the real
service and the real agent code between them, and three processes that play
Celery workers, one of which really leaks (up to 480 MiB, beside what its program takes). It prints
the address of a page that looks like the Slack channel: read the report there,
press the button, watch the run. The page says what is simulated. Ctrl-C stops
everything and removes what it wrote. It needs Linux, and nothing else.

--story plays it by itself in under a minute and prints the transcript.

Exit status: 0 done; with --story only if, by the simulators' own journals, the
click came through Slack's wire, the snapshot was complete before the restart
order was claimed, the process changed and memory was freed, with one snapshot
and one restart. 1 otherwise, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Fault, err = demo.ParseFault(fault); err != nil {
				return usage(err)
			}
			if err := demo.OnLoopback(o.Listen); err != nil {
				return usage(err)
			}
			if story {
				if !cmd.Flags().Changed("listen") {
					o.Listen = ""
				}
				return demo.Story(cmd.Context(), o)
			}
			return demo.Run(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&story, "story", false, "play it without a person and check what happened")
	cmd.Flags().StringVar(&fault, "fault", "", "let something go wrong: `no-recovery|errored-snapshot|crash`")
	completeWith(cmd, "fault", string(demo.NoRecovery), string(demo.ErroredSnapshot), string(demo.Crash))
	cmd.Flags().StringVar(&o.Listen, "listen", demoListen, "`ADDRESS` of the page, on loopback; port 0 is a free one (the default with --story)")
	cmd.Flags().StringVar(&o.Keep, "keep", "", "leave logs, configuration and database in `DIR`")
	_ = cmd.MarkFlagDirname("keep")
	return cmd
}
