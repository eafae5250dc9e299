package slackapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// errUninteresting marks a well-formed request of a kind we have no use for,
// such as a closed modal. It is acked and forgotten.
var errUninteresting = errors.New("not a request we handle")

// We decode only the fields we use: slack-go's own types also decode the message
// the button stands in, and one block they do not know loses the whole click.

type wireID struct {
	ID     string `json:"id"`
	TeamID string `json:"team_id"`
	Name   string `json:"name"`
	User   string `json:"username"`
}

type wireView struct {
	ID         string `json:"id"`
	Hash       string `json:"hash"`
	CallbackID string `json:"callback_id"`
	Metadata   string `json:"private_metadata"`
	State      struct {
		Values map[string]map[string]wireValue `json:"values"`
	} `json:"state"`
}

type wireOption struct {
	Value string `json:"value"`
}

// wireValue is an input's or an action's value in whichever field its type uses.
type wireValue struct {
	ActionID string       `json:"action_id"`
	BlockID  string       `json:"block_id"`
	Value    *string      `json:"value"`
	Option   *wireOption  `json:"selected_option"`
	Options  []wireOption `json:"selected_options"`
	User     string       `json:"selected_user"`
	Users    []string     `json:"selected_users"`
	Channel  string       `json:"selected_channel"`
	Convo    string       `json:"selected_conversation"`
	Date     string       `json:"selected_date"`
	Time     string       `json:"selected_time"`
	Moment   int64        `json:"selected_date_time"` // seconds since 1970
}

func (v wireValue) values() []string {
	switch {
	case v.Value != nil:
		return []string{*v.Value}
	case v.Option != nil:
		return []string{v.Option.Value}
	case len(v.Users) > 0:
		return v.Users
	}
	if v.Moment != 0 {
		return []string{strconv.FormatInt(v.Moment, 10)}
	}
	var out []string
	for _, o := range v.Options {
		out = append(out, o.Value)
	}
	for _, s := range []string{v.User, v.Channel, v.Convo, v.Date, v.Time} {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func state(wire map[string]map[string]wireValue) State {
	if len(wire) == 0 {
		return nil
	}
	s := make(State, len(wire))
	for block, actions := range wire {
		s[block] = make(map[string][]string, len(actions))
		for action, v := range actions {
			s[block][action] = v.values()
		}
	}
	return s
}

// parseCommand reads a slash command from a form.
func parseCommand(form url.Values) (Envelope, error) {
	// A form, unlike JSON, may hold bytes that no store takes as text.
	get := func(k string) string { return strings.ToValidUTF8(form.Get(k), "\uFFFD") }
	c := Command{
		Who: Who{Team: get("team_id"), Enterprise: get("enterprise_id"),
			User: get("user_id"), UserName: get("user_name")},
		Channel: get("channel_id"), Command: get("command"), Text: get("text"),
		ResponseURL: get("response_url"), TriggerID: get("trigger_id"),
	}
	if c.Command == "" || c.User == "" || c.Team == "" || c.TriggerID == "" {
		return Envelope{}, errors.New("slash command without command, user, team or trigger id")
	}
	return Envelope{ID: c.TriggerID, Command: &c}, nil
}

// parseCommandJSON reads a slash command as Socket Mode carries it: the same
// names as in the form, as a flat object whose other values may be of any type.
func parseCommandJSON(b []byte) (Envelope, error) {
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return Envelope{}, fmt.Errorf("parse slash command: %w", err)
	}
	form := url.Values{}
	for k, v := range m {
		if s, ok := v.(string); ok {
			form.Set(k, s)
		}
	}
	return parseCommand(form)
}

type wireInteraction struct {
	Type        string  `json:"type"`
	TriggerID   string  `json:"trigger_id"`
	ResponseURL string  `json:"response_url"`
	Team        *wireID `json:"team"`
	Enterprise  *wireID `json:"enterprise"`
	User        wireID  `json:"user"`
	Channel     wireID  `json:"channel"`
	Message     struct {
		TS       string `json:"ts"`
		ThreadTS string `json:"thread_ts"`
	} `json:"message"`
	Container struct {
		MessageTS string `json:"message_ts"`
		ThreadTS  string `json:"thread_ts"`
		ChannelID string `json:"channel_id"`
		Ephemeral bool   `json:"is_ephemeral"`
	} `json:"container"`
	View    wireView    `json:"view"`
	Actions []wireValue `json:"actions"`
	State   struct {
		Values map[string]map[string]wireValue `json:"values"`
	} `json:"state"`
}

// who prefers the person's own workspace: with Slack Connect the payload's team
// may be ours while the person is not.
func (w wireInteraction) who() Who {
	who := Who{User: w.User.ID, UserName: w.User.User, Team: w.User.TeamID}
	if who.UserName == "" {
		who.UserName = w.User.Name
	}
	if who.Team == "" && w.Team != nil {
		who.Team = w.Team.ID
	}
	if w.Enterprise != nil {
		who.Enterprise = w.Enterprise.ID
	}
	return who
}

// parseInteraction reads the JSON of a click or a submitted modal.
func parseInteraction(b []byte) (Envelope, error) {
	var w wireInteraction
	if err := json.Unmarshal(b, &w); err != nil {
		return Envelope{}, fmt.Errorf("parse interaction: %w", err)
	}
	if w.Type != "block_actions" && w.Type != "view_submission" {
		return Envelope{}, fmt.Errorf("interaction %q: %w", w.Type, errUninteresting)
	}
	who := w.who()
	if who.User == "" || who.Team == "" {
		return Envelope{}, fmt.Errorf("%s without user or team", w.Type)
	}
	if w.TriggerID == "" && (w.Type != "view_submission" || w.View.ID == "") {
		return Envelope{}, fmt.Errorf("%s without trigger id", w.Type)
	}
	if w.Type == "view_submission" {
		// A view's hash changes with each of its states, so it names a submission too.
		id := first(w.TriggerID, w.View.ID+":"+w.View.Hash)
		return Envelope{ID: id, Submission: &Submission{Who: who, ViewID: w.View.ID,
			ViewHash: w.View.Hash, CallbackID: w.View.CallbackID, Metadata: w.View.Metadata,
			TriggerID: w.TriggerID, State: state(w.View.State.Values)}}, nil
	}
	if len(w.Actions) == 0 {
		return Envelope{}, errors.New("block_actions without an action")
	}
	return Envelope{ID: w.TriggerID, Click: w.click(who)}, nil
}

func (w wireInteraction) click(who Who) *Click {
	act := w.Actions[0]
	c := &Click{Who: who, Channel: first(w.Channel.ID, w.Container.ChannelID),
		MessageTS: first(w.Message.TS, w.Container.MessageTS),
		ThreadTS:  first(w.Message.ThreadTS, w.Container.ThreadTS),
		Ephemeral: w.Container.Ephemeral, ActionID: act.ActionID, BlockID: act.BlockID,
		ResponseURL: w.ResponseURL, TriggerID: w.TriggerID,
		ViewID: w.View.ID, ViewHash: w.View.Hash, CallbackID: w.View.CallbackID, Metadata: w.View.Metadata,
		State: state(w.View.State.Values)}
	if c.State == nil {
		c.State = state(w.State.Values)
	}
	if v := act.values(); len(v) > 0 {
		c.Value = v[0]
	}
	return c
}

// parseEvent reads an Events API callback. A challenge is answered as such.
func parseEvent(b []byte) (in Envelope, challenge string, err error) {
	var w struct {
		Type         string `json:"type"`
		Challenge    string `json:"challenge"`
		TeamID       string `json:"team_id"`
		EnterpriseID string `json:"enterprise_id"`
		EventID      string `json:"event_id"`
		Event        struct {
			Type string   `json:"type"`
			User any      `json:"user"` // an object in some events we ignore
			Tab  string   `json:"tab"`
			View wireView `json:"view"`
		} `json:"event"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return Envelope{}, "", fmt.Errorf("parse event: %w", err)
	}
	if w.Type == "url_verification" {
		return Envelope{}, w.Challenge, nil
	}
	if w.Event.Type != "app_home_opened" || w.Event.Tab == "messages" {
		return Envelope{}, "", fmt.Errorf("event %q: %w", w.Event.Type, errUninteresting)
	}
	user, _ := w.Event.User.(string)
	if user == "" || w.TeamID == "" || w.EventID == "" {
		return Envelope{}, "", errors.New("app_home_opened without user, team or event id")
	}
	return Envelope{ID: w.EventID, HomeOpened: &HomeOpened{
		Who:    Who{Team: w.TeamID, Enterprise: w.EnterpriseID, User: user},
		ViewID: w.Event.View.ID, ViewHash: w.Event.View.Hash}}, "", nil
}

func first(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
