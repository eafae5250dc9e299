package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slacksim"
)

// How long each chapter may take: many times what it does, for machines that
// are busy with other things.
const (
	reportWithin = 8 * time.Minute
	refuseWithin = 3 * time.Minute
	cureWithin   = 8 * time.Minute
)

// expected is when the report comes on a machine that is idle.
const expected = 22 * time.Second

// Story plays the demo by itself and returns an error unless everything
// happened as it should, by the journals of the simulators.
func Story(ctx context.Context, o Options) error {
	w, err := open(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(w.story(ctx), w.close())
}

func (w *world) story(ctx context.Context) error {
	w.say("page: %s/?user=%s&channel=%s", w.slack.URL(), anna, channel)
	found, err := w.awaitReport(ctx)
	if err != nil {
		return err
	}
	w.tell("dropleak reports", found.PlainText())
	if err := w.refuse(ctx, found); err != nil {
		return err
	}
	before, err := w.life(ctx)
	if err != nil {
		return err
	}
	w.tell("Anna presses \"Snapshot & restart\"", "")
	if err := w.slack.Click(anna, found.Channel, found.TS, report.ActionRestart); err != nil {
		return fmt.Errorf("the approver's click: %w", err)
	}
	ended, err := w.awaitEnd(ctx, found)
	if err != nil {
		return err
	}
	w.tell("dropleak says", ended.PlainText())
	return w.judge(ctx, before, ended)
}

// tell prints one scene of the transcript.
func (w *world) tell(what, text string) {
	fmt.Fprintf(w.o.Out, "%s  +%.1fs  %s\n", time.Now().Format(time.TimeOnly), time.Since(w.began).Seconds(), what)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintln(w.o.Out, "    │ "+line)
		}
	}
}

// awaitReport waits until the leak is reported with its chart and a restart
// is offered.
func (w *world) awaitReport(ctx context.Context) (slacksim.Message, error) {
	w.say("watching %d workers; the detector needs about %.0f s", len(programs()), expected.Seconds())
	done := make(chan struct{})
	defer close(done)
	go w.countdown(done)
	return w.await(ctx, reportWithin, "no report of a leak with a chart and a button", func(m slacksim.Message) bool {
		return m.Ephemeral == "" && offers(m) && strings.Contains(fmt.Sprint(m.Blocks), "slack_file")
	})
}

// countdown keeps whoever watches from thinking that nothing happens.
func (w *world) countdown(done <-chan struct{}) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if left := expected - time.Since(w.began); left > 2*time.Second {
			w.say("watching… the detector needs about %.0f s more", left.Seconds())
		} else {
			w.say("watching… any moment now")
		}
	}
}

// await waits for a message, for the end of ctx, or for something to break.
func (w *world) await(ctx context.Context, within time.Duration, missing string, match func(slacksim.Message) bool) (slacksim.Message, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%s within %s", missing, within))
	defer cancel()
	ctx, broke := context.WithCancelCause(ctx)
	defer broke(nil)
	go func() {
		select {
		case err := <-w.broken:
			broke(err)
		case <-ctx.Done():
		}
	}()
	m, err := w.slack.WaitFor(ctx, match)
	if err != nil {
		return m, context.Cause(ctx)
	}
	return m, nil
}

func offers(m slacksim.Message) bool {
	return slices.ContainsFunc(m.Buttons(), func(b slacksim.Button) bool { return b.ActionID == report.ActionRestart })
}

// refuse has somebody click who may not, and waits until she is told.
func (w *world) refuse(ctx context.Context, m slacksim.Message) error {
	w.tell("Carla, who may not approve, presses \"Snapshot & restart\"", "")
	if err := w.slack.Click(carla, m.Channel, m.TS, report.ActionRestart); err != nil {
		return fmt.Errorf("the click of somebody who may not: %w", err)
	}
	no, err := w.await(ctx, refuseWithin, "nobody told Carla that she may not", func(m slacksim.Message) bool { return m.Ephemeral == carla })
	if err != nil {
		return err
	}
	w.tell("only Carla sees", no.PlainText())
	return nil
}

// awaitEnd prints what the message says while the run goes on, and returns
// it when the run has ended.
func (w *world) awaitEnd(ctx context.Context, found slacksim.Message) (slacksim.Message, error) {
	steps := ""
	return w.await(ctx, cureWithin, "the run did not end", func(m slacksim.Message) bool {
		if m.TS != found.TS {
			return false
		}
		if _, ended := outcomeOf(m); ended {
			return true
		}
		if now := stepsOf(m); now != "" && now != steps {
			w.tell("the message shows", now)
			steps = now
		}
		return false
	})
}

// stepsOf are the lines of a message that stand for steps under way or done.
func stepsOf(m slacksim.Message) string {
	var out []string
	for line := range strings.Lines(m.PlainText()) {
		if strings.HasPrefix(line, ":white_check_mark:") || strings.HasPrefix(line, ":hourglass_flowing_sand:") || strings.HasPrefix(line, ":x:") {
			text, _, _ := strings.Cut(strings.TrimSpace(line), " – ")
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n")
}

// outcomes are how a run can end, as far as the story knows.
var outcomes = []remedy.Outcome{remedy.FreedWorking, remedy.FreedNotSeenWorking, remedy.NotFreed, remedy.CameBackBad, remedy.Declined,
	remedy.Dismissed, remedy.Cancelled, remedy.TimedOut, remedy.Overtaken, remedy.Failed, remedy.Unclear, remedy.NotRunning}

// outcomeOf reads from a message how its run ended.
func outcomeOf(m slacksim.Message) (remedy.Outcome, bool) {
	text := m.PlainText()
	for _, o := range outcomes {
		if words := o.Words(); strings.Contains(text, "*"+strings.ToUpper(words[:1])+words[1:]+"*") {
			return o, true
		}
	}
	return "", false
}
