package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// manifestSchema holds what Slack's published schema (slackapi/manifest-schema,
// schemas/manifest.schema.1.0.0.json) says of the parts that dropleak's
// manifest has. It is written after that file and knows no other parts, so
// that a key which it does not name is looked up before it is added here. Both
// printed forms were held against that file itself, and 2.0.0, at c50cfa8.
const manifestSchema = "testdata/manifest.schema.json"

// TestManifestFitsTheSchema: both forms that the command prints are what the
// schema wants, and a manifest that breaks any of its rules is refused.
func TestManifestFitsTheSchema(t *testing.T) {
	schema := readSchema(t)
	for _, public := range []string{"", "https://dropleak.example.com"} {
		if err := schema.VisitJSON(asJSON(t, public)); err != nil {
			t.Errorf("the manifest for %q: %v", public, err)
		}
	}
	for what, spoil := range map[string]func(m map[string]any){
		"a name of 36":              func(m map[string]any) { in(m, "display_information")["name"] = strings.Repeat("x", 36) },
		"a description of 141":      func(m map[string]any) { in(m, "display_information")["description"] = strings.Repeat("x", 141) },
		"no name":                   func(m map[string]any) { delete(in(m, "display_information"), "name") },
		"an unknown part":           func(m map[string]any) { m["buttons"] = true },
		"an unknown key":            func(m map[string]any) { in(m, "settings")["socket_mode"] = true },
		"a word for a yes":          func(m map[string]any) { in(m, "settings")["socket_mode_enabled"] = "yes" },
		"a command without slash":   func(m map[string]any) { command(m)["command"] = "leaks" },
		"a command of 33":           func(m map[string]any) { command(m)["command"] = "/" + strings.Repeat("x", 32) },
		"a hint of 1001":            func(m map[string]any) { command(m)["usage_hint"] = strings.Repeat("x", 1001) },
		"a command without words":   func(m map[string]any) { delete(command(m), "description") },
		"no commands":               func(m map[string]any) { in(m, "features")["slash_commands"] = []any{} },
		"a request to nowhere":      func(m map[string]any) { in(m, "settings", "interactivity")["request_url"] = "dropleak.example.com" },
		"a scope of 51":             func(m map[string]any) { in(m, "oauth_config", "scopes")["bot"] = []any{strings.Repeat("x", 51)} },
		"an event twice":            func(m map[string]any) { in(m, "settings", "event_subscriptions")["bot_events"] = []any{"a", "a"} },
		"a bot without a name":      func(m map[string]any) { delete(in(m, "features", "bot_user"), "display_name") },
		"interactivity not said":    func(m map[string]any) { delete(in(m, "settings", "interactivity"), "is_enabled") },
		"a home of an unknown kind": func(m map[string]any) { in(m, "features", "app_home")["about_tab_enabled"] = true },
	} {
		m := asJSON(t, "https://dropleak.example.com")
		spoil(m)
		if schema.VisitJSON(m) == nil {
			t.Errorf("the schema takes %s", what)
		}
	}
}

func readSchema(t *testing.T) *openapi3.Schema {
	t.Helper()
	raw, err := os.ReadFile(manifestSchema)
	if err != nil {
		t.Fatal(err)
	}
	var schema openapi3.Schema
	if err := schema.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return &schema
}

func asJSON(t *testing.T, public string) (out map[string]any) {
	t.Helper()
	m, err := manifest(public)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// in is a part of a part of a manifest.
func in(m map[string]any, path ...string) map[string]any {
	for _, p := range path {
		m = m[p].(map[string]any)
	}
	return m
}

func command(m map[string]any) map[string]any {
	return in(m, "features")["slash_commands"].([]any)[0].(map[string]any)
}
