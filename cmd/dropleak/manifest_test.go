package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/chat"
	"github.com/dropleak/dropleak/bot/slacksim"
)

// The shipped file is what the command prints, under a line that says so, and
// holds nothing that Slack's manifest does not know.
func TestShippedManifest(t *testing.T) {
	shipped, err := os.ReadFile("../../configs/slack-manifest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	comment, body, _ := bytes.Cut(shipped, []byte("\n"))
	if !bytes.HasPrefix(comment, []byte("#")) {
		t.Errorf("the shipped manifest begins with %q, not with a comment", comment)
	}
	var out, talk bytes.Buffer
	if code := run(t.Context(), []string{"manifest"}, strings.NewReader(""), &out, &talk); code != 0 {
		t.Fatalf("exit %d: %s", code, talk.String())
	}
	if diff := cmp.Diff(out.String(), string(body)); diff != "" {
		t.Errorf("configs/slack-manifest.yaml is not what dropleak manifest prints (-printed +shipped):\n%s", diff)
	}
	var m slack.Manifest
	if err := yaml.UnmarshalWithOptions(shipped, &m, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	command := m.Features.SlashCommands[0]
	if command.UsageHint != chat.Usage() || command.Command != "/leaks" || !m.Settings.SocketModeEnabled || !m.Settings.Interactivity.IsEnabled ||
		!m.Features.AppHome.HomeTabEnabled || !slices.Equal(m.Settings.EventSubscriptions.BotEvents, []string{"app_home_opened"}) {
		t.Errorf("the manifest is %+v", m)
	}
	checkSizes(t, m)
}

// checkSizes holds a manifest against the limits that Slack documents.
func checkSizes(t *testing.T, m slack.Manifest) {
	t.Helper()
	command := m.Features.SlashCommands[0]
	for what, size := range map[string][2]int{
		"name":        {len(m.Display.Name), 35},
		"description": {len(m.Display.Description), 140},
		"usage hint":  {len(command.UsageHint), 1000},
		"command":     {len(command.Command), 32},
		"scopes":      {len(m.OAuthConfig.Scopes.Bot), 255},
	} {
		if size[0] > size[1] {
			t.Errorf("%s takes %d, and Slack allows %d", what, size[0], size[1])
		}
	}
}

// The simulated Slack refuses what its scopes do not cover, and the story
// passes with them: they must be the manifest's, no fewer and no more.
func TestManifestAsksForWhatTheStoryNeeds(t *testing.T) {
	sim := slacksim.New(slacksim.Options{})
	defer sim.Close()
	r := httptest.NewRequest(http.MethodPost, "/api/auth.test", strings.NewReader("token=xoxb-sim"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	sim.Handler().ServeHTTP(w, r)
	granted := strings.Split(w.Header().Get("X-OAuth-Scopes"), ",")
	asked := botScopes()
	slices.Sort(granted)
	slices.Sort(asked)
	if diff := cmp.Diff(granted, asked); diff != "" {
		t.Errorf("scopes of the story and of the manifest (-story +manifest):\n%s", diff)
	}
}

func TestManifestOverHTTP(t *testing.T) {
	m, err := manifest("https://dropleak.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	if m.Settings.SocketModeEnabled || m.Settings.Interactivity.RequestUrl != "https://dropleak.example.com/slack/interactions" ||
		m.Settings.EventSubscriptions.RequestUrl != "https://dropleak.example.com/slack/events" ||
		m.Features.SlashCommands[0].Url != "https://dropleak.example.com/slack/commands" {
		t.Errorf("the manifest is %+v", m)
	}
	for _, bad := range []string{"http://dropleak.example.com", "dropleak.example.com", "https://u:p@x.example.com", "https://x.example.com/?a=b"} {
		if _, err := manifest(bad); err == nil {
			t.Errorf("%s is taken for a public address", bad)
		}
	}
}
