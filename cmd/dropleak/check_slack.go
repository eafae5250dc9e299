package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"slices"
	"strings"

	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/configs"
)

// slackQuestions ask Slack for everything the service will need of it. What they
// put up they take away again, and nobody in the workspace sees any of it.
func slackQuestions(c configs.Config, log *slog.Logger) []question {
	app, err := slackapp.New(slackapp.Options{BotToken: c.Secrets.SlackBot, AppToken: c.Secrets.SlackApp, SigningSecret: c.Secrets.SlackSigning,
		APIURL: c.Slack.APIURL, Mode: slackapp.Mode(c.Slack.Mode), Logger: log, Handler: deaf{}})
	if err != nil {
		return []question{{name: "Slack", ask: func(context.Context) (string, error) { return "", err }}}
	}
	s := slackCheck{app, c}
	slack := func(name string, ask func(context.Context) (string, error)) question {
		return question{name: "Slack " + name, of: ofSlack, ask: ask}
	}
	ps := []question{slack("bot token", s.token), slack("scopes", s.scopes)}
	ps[0].within = firstWithin
	if slackapp.Mode(c.Slack.Mode) != slackapp.HTTP {
		ps = append(ps, slack("sockets", s.sockets))
	}
	for _, channel := range channels(c) {
		ps = append(ps, slack("channel "+channel, func(ctx context.Context) (string, error) { return s.channel(ctx, channel) }))
	}
	upload := slack("upload", s.upload)
	upload.mute = func(error) bool { return false } // it goes to an address of its own
	return append(ps, upload, slack("approvers", s.approvers))
}

// slackCheck is Slack as the configuration has it.
type slackCheck struct {
	app *slackapp.App
	c   configs.Config
}

// channels are all that reports go to.
func channels(c configs.Config) []string {
	out := []string{c.Slack.Channel}
	for _, r := range c.Schedule.Report {
		if r.Channel != "" && !slices.Contains(out, r.Channel) {
			out = append(out, r.Channel)
		}
	}
	return out
}

// reinstall is how a Slack app gets what its manifest asks for.
const reinstall = "paste what \"dropleak manifest\" prints at https://api.slack.com/apps, App Manifest, then Install App, Reinstall"

func (s slackCheck) token(ctx context.Context) (string, error) {
	id, err := s.app.AuthTest(ctx)
	if err != nil {
		return "", mend(err, "SLACK_BOT_TOKEN is the Bot User OAuth Token under OAuth & Permissions")
	}
	return fmt.Sprintf("workspace %s, bot user %s", id.Team, id.UserID), nil
}

func (s slackCheck) scopes(ctx context.Context) (string, error) {
	id, err := s.app.AuthTest(ctx)
	if err != nil {
		return "", err
	}
	if missing := id.Missing(); len(missing) > 0 {
		var names []string
		for _, m := range missing {
			names = append(names, m.String())
		}
		return "", fmt.Errorf("the bot token lacks %s; %s", strings.Join(names, ", "), reinstall)
	}
	if len(id.Scopes) == 0 {
		return "Slack did not say which are granted", nil
	}
	return fmt.Sprintf("all %d are granted", len(slackapp.Scopes())), nil
}

func (s slackCheck) sockets(ctx context.Context) (string, error) {
	n, err := s.app.ProveSocket(ctx)
	if err != nil {
		return "", mend(err, "SLACK_APP_TOKEN is an app-level token with connections:write, under Basic Information, and Socket Mode is on")
	}
	if n > 9 {
		return "", fmt.Errorf("this app has %d sockets and Slack allows 10: a service needs two; stop one that is not needed", n)
	}
	return fmt.Sprintf("Slack greets; it counts %d with this one", n), nil
}

// channelMends say what to do about Slack's refusals to post.
var channelMends = map[string]string{
	"not_in_channel":    "in that channel, send /invite @dropleak",
	"channel_not_found": "the configuration wants the channel's id (C…), from View channel details; in a private channel, send /invite @dropleak first",
	"is_archived":       "the channel is archived: name another",
	"restricted_action": "a workspace preference keeps the app from posting there: ask an admin",
}

func (s slackCheck) channel(ctx context.Context, id string) (string, error) {
	err := s.app.ProvePost(ctx, id)
	if err == nil {
		return "the bot is in it and may post", nil
	}
	if refused, ok := errors.AsType[*slackapp.Error](err); ok {
		return "", mend(err, channelMends[refused.Code])
	}
	return "", err
}

func (s slackCheck) upload(ctx context.Context) (string, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		return "", err
	}
	if err := s.app.ProveUpload(ctx, b.Bytes()); err != nil {
		how := "charts will be missing from the reports"
		if said, ok := errors.AsType[*slackapp.Error](err); ok && said.Code == "missing_scope" {
			how += "; " + reinstall
		}
		return "", mend(err, how)
	}
	return "a picture went up, was ready, and was deleted", nil
}

// approvers asks who may decide: a list that nobody is on would be found out
// at the first leak.
func (s slackCheck) approvers(ctx context.Context) (string, error) {
	people, bad, asked := map[string]bool{}, []error{}, true
	for _, entry := range s.c.Approvals.Approvers {
		ids := []string{entry}
		if strings.HasPrefix(entry, "S") {
			members, err := s.app.GroupMembers(ctx, entry)
			if err != nil {
				bad, asked = append(bad, fmt.Errorf("user group %s: %w", entry, err)), asked && unknownTo(err)
			}
			ids = members
		}
		for _, id := range ids {
			why, err := s.approver(ctx, id)
			switch {
			case err != nil:
				bad, asked = append(bad, fmt.Errorf("%s: %w", id, err)), asked && unknownTo(err)
			case why != "" && id == entry:
				bad = append(bad, fmt.Errorf("%s %s and cannot approve; name somebody else under approvals.approvers", id, why))
			case why == "":
				people[id] = true
			}
		}
	}
	if !asked { // who may is not known, and the configuration is not to blame
		return "", errors.Join(bad...)
	}
	if len(people) == 0 {
		bad = append(bad, errors.New("nobody can approve a restart; name people (U…) or user groups (S…) under approvals.approvers"))
	}
	if need := max(s.c.Approvals.Quorum, 1); len(people) > 0 && len(people) < need {
		bad = append(bad, fmt.Errorf("approvals.quorum is %d and only %d can approve", need, len(people)))
	}
	return fmt.Sprintf("%d can approve", len(people)), errors.Join(bad...)
}

// unknownTo reports whether Slack's answer is that it does not know whom it was
// asked about.
func unknownTo(err error) bool {
	said, ok := errors.AsType[*slackapp.Error](err)
	return ok && slices.Contains([]string{"user_not_found", "users_not_found", "no_such_subteam", "subteam_not_found"}, said.Code)
}

// approver says why somebody cannot approve; "" they can.
func (s slackCheck) approver(ctx context.Context, id string) (why string, err error) {
	p, err := s.app.User(ctx, id)
	switch {
	case err != nil:
		return "", err
	case p.Deleted:
		return "is deactivated", nil
	case p.Bot:
		return "is an app", nil
	case p.Guest:
		return "is a guest", nil
	case p.Stranger:
		return "belongs to another workspace", nil
	}
	return "", nil
}

// mend adds what to do about what Slack answered. Where it did not answer, no
// token and no scope is to blame.
func mend(err error, how string) error {
	said, ok := errors.AsType[*slackapp.Error](err)
	switch {
	case !ok: // a socket or an upload's address that did not answer
		how = ""
	case said.Code == "" && said.Status == 0:
		how = "Slack did not answer: see whether this machine reaches slack.api_url"
	case said.Code == "":
		how = "that is no answer of Slack's API: see slack.api_url, and what stands in between"
	}
	if how == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, how)
}
