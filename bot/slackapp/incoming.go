package slackapp

import (
	"context"
	"encoding/json"
	"time"

	"github.com/slack-go/slack"
)

// Envelope is one request from Slack, whichever way it came. Exactly one of the
// pointers is set. It survives JSON unchanged, so it can be stored as it is.
type Envelope struct {
	// ID is the same for every delivery of the same request: the trigger id of a
	// command, click or submission, the event id of an event.
	ID string    `json:"id"`
	At time.Time `json:"at"` // when it reached us

	Command    *Command    `json:"command,omitempty"`
	Click      *Click      `json:"click,omitempty"`
	Submission *Submission `json:"submission,omitempty"`
	HomeOpened *HomeOpened `json:"home_opened,omitempty"`
}

// Who is the person behind a request and the workspace they came from. Team is
// the person's own workspace, which differs from ours for a guest from elsewhere.
type Who struct {
	Team       string `json:"team"`
	Enterprise string `json:"enterprise,omitempty"`
	User       string `json:"user"`
	UserName   string `json:"user_name,omitempty"`
}

// Command is a slash command.
type Command struct {
	Who
	Channel     string `json:"channel"`
	Command     string `json:"command"` // with its slash
	Text        string `json:"text"`
	ResponseURL string `json:"response_url"`
	TriggerID   string `json:"trigger_id"`
}

// Click is a press on a button or a choice in a menu, in a message, a modal or
// the App Home. Channel, MessageTS and ThreadTS are empty outside messages, ViewID
// and the fields after it outside views.
type Click struct {
	Who
	Channel     string `json:"channel,omitempty"`
	MessageTS   string `json:"message_ts,omitempty"`
	ThreadTS    string `json:"thread_ts,omitempty"`
	Ephemeral   bool   `json:"ephemeral,omitempty"`
	ActionID    string `json:"action_id"`
	BlockID     string `json:"block_id"`
	Value       string `json:"value"` // a button's value or the chosen option's
	ResponseURL string `json:"response_url,omitempty"`
	TriggerID   string `json:"trigger_id"`
	ViewID      string `json:"view_id,omitempty"`
	ViewHash    string `json:"view_hash,omitempty"`
	CallbackID  string `json:"callback_id,omitempty"`
	Metadata    string `json:"metadata,omitempty"` // the view's private_metadata
	State       State  `json:"state,omitempty"`
}

// Submission is a modal sent in.
type Submission struct {
	Who
	ViewID     string `json:"view_id"`
	ViewHash   string `json:"view_hash"`
	CallbackID string `json:"callback_id"`
	Metadata   string `json:"metadata,omitempty"` // private_metadata
	TriggerID  string `json:"trigger_id"`
	State      State  `json:"state,omitempty"`
}

// HomeOpened says that somebody looks at the App Home. ViewHash guards the next
// [App.PublishHome] against overwriting a newer page; it is empty at first sight.
type HomeOpened struct {
	Who
	ViewID   string `json:"view_id,omitempty"`
	ViewHash string `json:"view_hash,omitempty"`
}

// State is what inputs hold: block id, then action id, then the values, of which
// a text or single choice has one.
type State map[string]map[string][]string

// Get is the first value of an action in any block, or "".
func (s State) Get(actionID string) string {
	for _, actions := range s {
		if v := actions[actionID]; len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// Handler takes what comes in. Receive persists the envelope and returns; an
// error means it could not, and Slack is told nothing (socket) or 500 (HTTP), so
// that the person sees Slack's own error and may press again. It has two and a
// half seconds, may be called concurrently, and may meet the same ID twice.
type Handler interface {
	Receive(ctx context.Context, in Envelope) (Ack, error)
}

// Ack is what goes back together with "taken". Its zero value says just that.
type Ack struct {
	// Text and Blocks answer a command, seen by its sender alone.
	Text   string
	Blocks []slack.Block
	// Errors keep a modal open, by block id.
	Errors map[string]string
	// View takes the place of the modal that was submitted.
	View *slack.ModalViewRequest
}

// maxAck is what Socket Mode carries back: from 20 KiB on Slack drops the answer
// without a word, envelope id and all; the difference leaves room for that.
const maxAck = 19 << 10

// payload is the ack's JSON, nil when there is nothing to say.
func (k Ack) payload() (json.RawMessage, error) {
	var v any
	switch {
	case len(k.Errors) > 0:
		v = map[string]any{"response_action": "errors", "errors": k.Errors}
	case k.View != nil:
		v = map[string]any{"response_action": "update", "view": k.View}
	case k.Text != "" || len(k.Blocks) > 0:
		m := map[string]any{"response_type": "ephemeral", "text": k.Text}
		if len(k.Blocks) > 0 {
			m["blocks"] = k.Blocks
		}
		v = m
	default:
		return nil, nil
	}
	return json.Marshal(v)
}
