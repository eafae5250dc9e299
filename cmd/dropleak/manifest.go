package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/slack-go/slack"
	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/chat"
	"github.com/dropleak/dropleak/bot/slackapp"
)

func manifestCommand(s streams) *cobra.Command {
	var public string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "manifest [--http URL] [--json]",
		GroupID: "serve",
		Short:   "Print the manifest that the Slack app is made from",
		Long: `Manifest prints what to paste at https://api.slack.com/apps, "Create New App",
"From an app manifest": the slash command, and the scopes that dropleak uses and
no others. Without --http the app uses Socket Mode and needs no public address.`,
		Example: `  dropleak manifest
  dropleak manifest --http https://dropleak.example.com`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			m, err := manifest(public)
			if err != nil {
				return usage(err)
			}
			if asJSON {
				return printJSON(s, m)
			}
			text, err := yaml.MarshalWithOptions(m, yaml.IndentSequence(true))
			if err != nil {
				return fmt.Errorf("write the manifest: %w", err)
			}
			_, err = s.out.Write(text)
			return err
		},
	}
	cmd.Flags().StringVar(&public, "http", "", "for slack.mode: http, the https `URL` where Slack finds the service")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// botScopes are the rights that the calls to Slack need.
func botScopes() (out []string) {
	for _, s := range slackapp.Scopes() {
		out = append(out, s.Name)
	}
	return out
}

// manifest is the app as the service expects it. public is where Slack finds
// it over HTTP; empty: Socket Mode.
func manifest(public string) (slack.Manifest, error) {
	command := slack.ManifestSlashCommand{Command: "/leaks", Description: "Which workers leak, and restarts",
		UsageHint: chat.Usage(), ShouldEscape: true}
	m := slack.Manifest{
		Metadata: slack.ManifestMetadata{MajorVersion: 1, MinorVersion: 1},
		Display: slack.Display{Name: "dropleak",
			Description: "Finds Celery workers that leak memory, and restarts them after a snapshot when somebody who may says so"},
		Features: slack.Features{
			AppHome:       slack.AppHome{HomeTabEnabled: true, MessagesTabReadOnlyEnabled: true},
			BotUser:       slack.BotUser{DisplayName: "dropleak", AlwaysOnline: true},
			SlashCommands: []slack.ManifestSlashCommand{command},
		},
		OAuthConfig: slack.OAuthConfig{Scopes: slack.OAuthScopes{Bot: botScopes()}},
		Settings: slack.Settings{
			EventSubscriptions: &slack.EventSubscriptions{BotEvents: []string{"app_home_opened"}},
			Interactivity:      &slack.Interactivity{IsEnabled: true},
			SocketModeEnabled:  true,
		},
	}
	if public == "" {
		return m, nil
	}
	u, err := url.Parse(public)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return m, errors.New("--http wants an address such as https://dropleak.example.com")
	}
	at := strings.TrimSuffix(public, "/")
	m.Settings.SocketModeEnabled = false
	m.Settings.Interactivity.RequestUrl = at + "/slack/interactions"
	m.Settings.EventSubscriptions.RequestUrl = at + "/slack/events"
	m.Features.SlashCommands[0].Url = at + "/slack/commands"
	return m, nil
}
