package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/schedule"
)

const asButtons = `It is what the buttons do, under the same authority: the Slack user given with
--as is looked up in Slack. The audit log says that it came from the command
line, by which operating-system user on which host. It needs the service's
environment, for its tokens.

Exit status: 0 done, 1 refused or not possible, 2 wrong usage or configuration.`

func findingsMute(s streams) *cobra.Command {
	var a actFlags
	var span string
	var worse bool
	cmd := &cobra.Command{
		Use:   "mute --config FILE --as SLACK_USER (--for 24h | --until-worse) ID",
		Short: "Be quiet about a finding",
		Long: `Mute says nothing about a finding until a time, or until it gets worse; a
question that stands about it is answered "not now". It takes an approver, unless
the configuration has approvals.mute: members.

` + asButtons,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if worse == (span != "") {
				return usage(errors.New("give either --for or --until-worse"))
			}
			d := remedy.Decision{By: a.as, Kind: remedy.NotNow, Via: via()}
			until := "it gets worse"
			if span != "" {
				length, err := schedule.ParseDuration(span)
				if err != nil || length <= 0 {
					return usage(fmt.Errorf("--for %q is not a time to come, such as 24h or 7d", span))
				}
				d.Until = time.Now().Add(length)
				until = d.Until.Local().Format("2 January 15:04 MST")
			}
			return aside(cmd.Context(), s, a, args[0], "Nothing is said about it until "+until+", and nothing is restarted.", d)
		},
	}
	a.add(cmd)
	cmd.Flags().StringVar(&span, "for", "", "be quiet for a `TIME`: 24h, 7d")
	cmd.Flags().BoolVar(&worse, "until-worse", false, "be quiet until it gets worse")
	return cmd
}

func findingsDismiss(s streams) *cobra.Command {
	var a actFlags
	var reason string
	cmd := &cobra.Command{
		Use:   "dismiss --config FILE --as SLACK_USER --reason TEXT ID",
		Short: "Call a finding a false alarm",
		Long: `Dismiss ends a finding as a false alarm, with the question that stands about it.
It takes an approver.

` + asButtons,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return aside(cmd.Context(), s, a, args[0], "It is called a false alarm, and ends.",
				remedy.Decision{By: a.as, Kind: remedy.FalseAlarm, Reason: reason, Via: via()})
		},
	}
	a.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` for the audit log")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func findingsUnmute(s streams) *cobra.Command {
	var a actFlags
	cmd := &cobra.Command{
		Use:   "unmute --config FILE --as SLACK_USER ID",
		Short: "Speak about a muted finding again",
		Long: `Unmute opens a muted finding again. Any full member of the workspace may.

` + asButtons,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onFinding(cmd.Context(), s, a, args[0], "It is spoken about again.", func(b *bot.Service) (remedy.Answer, error) {
				return remedy.Answer{Accepted: true}, b.Unmute(cmd.Context(), args[0], remedy.Decision{By: a.as, Via: via()})
			})
		},
	}
	a.add(cmd)
	return cmd
}

func findingsOffer(s streams) *cobra.Command {
	var a actFlags
	var only bool
	var reason string
	cmd := &cobra.Command{
		Use:   "offer --config FILE --as SLACK_USER [--snapshot-only] [--reason TEXT] ID",
		Short: "Ask for a restart about a finding",
		Long: `Offer asks for a restart, or with --snapshot-only for a snapshot alone; of an
incident, for its rolling restart. Nothing is done before an approver decides,
in Slack or with "dropleak approve" and the id that is printed. Any full member
of the workspace may ask.

` + asButtons,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onFinding(cmd.Context(), s, a, args[0], "The question is put into its channel; an approver decides.", func(b *bot.Service) (remedy.Answer, error) {
				return b.Offer(cmd.Context(), args[0], only, remedy.Decision{By: a.as, Reason: reason, Via: via()})
			})
		},
	}
	a.add(cmd)
	cmd.Flags().BoolVar(&only, "snapshot-only", false, "ask for a snapshot, and no restart")
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` for the audit log, and with --snapshot-only for the question")
	return cmd
}

func aside(ctx context.Context, s streams, a actFlags, id, means string, d remedy.Decision) error {
	return onFinding(ctx, s, a, id, means, func(b *bot.Service) (remedy.Answer, error) { return b.SetAside(ctx, id, d) })
}

// onFinding says what an act on a finding means, asks, and acts.
func onFinding(ctx context.Context, s streams, a actFlags, id, means string, act func(*bot.Service) (remedy.Answer, error)) error {
	return withService(ctx, s, a.config, func(b *bot.Service) error {
		f, err := b.Finding(ctx, id)
		if errors.Is(err, finding.ErrNotFound) {
			return fmt.Errorf("no finding %s; \"dropleak findings\" lists them", printable(id))
		}
		if err != nil {
			return err
		}
		if err := a.confirm(ctx, s, f.Subject.Title()+", "+string(f.State)+"\n"+means); err != nil {
			return err
		}
		answer, err := act(b)
		var no *remedy.Refusal
		switch {
		case errors.As(err, &no):
			answer = remedy.Answer{Words: no.Words, Refusal: no}
		case err != nil:
			return err
		}
		return told(s, a.json, answer)
	})
}
