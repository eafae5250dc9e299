package slackapp

import (
	"maps"
	"slices"
	"strings"
)

// method is what Slack's reference says of a Web API method that we call: its
// scope, "" for none of the bot's, and its tier in calls a minute. What is not
// in the table cannot be called.
type method struct {
	scope     string
	perMinute int
}

// methods is every call out. Source: the method pages of Slack's Web API
// reference.
var methods = map[string]method{
	"auth.test":                    {"", 100},
	"apps.connections.open":        {"", 50}, // takes the app-level token: connections:write
	"chat.postMessage":             {"chat:write", 300},
	"chat.postEphemeral":           {"chat:write", 100},
	"chat.update":                  {"chat:write", 50},
	"chat.delete":                  {"chat:write", 50},
	"chat.scheduleMessage":         {"chat:write", 50},
	"chat.deleteScheduledMessage":  {"chat:write", 50},
	"views.open":                   {"", 100},
	"views.update":                 {"", 100},
	"views.publish":                {"", 100},
	"users.info":                   {"users:read", 100},
	"usergroups.users.list":        {"usergroups:read", 20},
	"files.getUploadURLExternal":   {"files:write", 100},
	"files.completeUploadExternal": {"files:write", 100},
	"files.delete":                 {"files:write", 50},
	"files.info":                   {"files:read", 100},
	// Not Web API methods; Slack publishes no rate for them, these are ours.
	"response_url": {"", 600},
	"files.upload": {"", 200},
}

// slashCommands is the scope of an app that has a slash command.
const slashCommands = "commands"

// Scope is a right the bot token needs, and the calls that need it.
type Scope struct {
	Name string
	For  []string
}

// Scopes lists what the bot token must be granted: for the methods that are
// called, and for the slash command. It is sorted by name.
func Scopes() []Scope {
	calls := map[string][]string{slashCommands: {"/leaks"}}
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		if s := methods[name].scope; s != "" {
			calls[s] = append(calls[s], name)
		}
	}
	var out []Scope
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		out = append(out, Scope{Name: name, For: calls[name]})
	}
	return out
}

// Missing lists the scopes that an identity's token was not granted. Slack
// names the granted ones with each answer; where it named none, nothing is
// known to be missing.
func (id Identity) Missing() (out []Scope) {
	if len(id.Scopes) == 0 {
		return nil
	}
	for _, s := range Scopes() {
		if !slices.Contains(id.Scopes, s.Name) {
			out = append(out, s)
		}
	}
	return out
}

// String is the scope and what it is for.
func (s Scope) String() string { return s.Name + " (for " + strings.Join(s.For, ", ") + ")" }
