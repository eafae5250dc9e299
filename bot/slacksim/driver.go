package slacksim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// What a driver may want to tell apart.
var (
	// ErrNoButton: the message does not hold that button now.
	ErrNoButton = errors.New("no such button")
	// ErrNoMessage: there is no such message, or this person cannot see it.
	ErrNoMessage = errors.New("no such message")
	// ErrNoModal: the person has no modal open.
	ErrNoModal = errors.New("no modal open")
)

// Invalid is a submission the bot or the client sent back, by block id.
type Invalid map[string]string

func (e Invalid) Error() string { return fmt.Sprintf("submission sent back: %v", map[string]string(e)) }

// Command types a slash command, such as "/leaks report", and returns when it is
// acked. An answer within the ack is then among the user's Ephemerals.
func (s *Sim) Command(user, channel, line string) error {
	name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
	s.mu.Lock()
	u, c := s.users[user], s.channels[channel]
	if u == nil || c == nil {
		s.mu.Unlock()
		return fmt.Errorf("command by %s in %s: no such user or channel", user, channel)
	}
	p := parcel{name: name, kind: "slash_commands", path: "/slack/commands", user: user, payload: object{
		"token": "verification", "team_id": u.Team, "team_domain": "dropleak", "channel_id": c.ID,
		"channel_name": c.Name, "user_id": user, "user_name": u.Name, "command": name,
		"text": strings.TrimSpace(text), "api_app_id": "A0SIM", "is_enterprise_install": "false",
		"response_url": s.newResponse(responseURL{channel: c.ID, user: user}), "trigger_id": s.newTrigger(user)}}
	s.mu.Unlock()
	payload, err := s.deliver(context.Background(), p)
	if err != nil {
		s.tell(user, channel, fmt.Sprintf("%s failed with the error %q", name, reason(err)))
		return err
	}
	return s.commandAnswer(user, channel, payload)
}

// commandAnswer shows what came in a command's ack.
func (s *Sim) commandAnswer(user, channel string, payload json.RawMessage) error {
	var args object
	if len(payload) == 0 || json.Unmarshal(payload, &args) != nil || len(args) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &Message{Channel: channel, User: "U0BOT", Ephemeral: user}
	if args["response_type"] == "in_channel" {
		m.Ephemeral = ""
	}
	if err := s.content(m, args, 40000, "response"); err != nil {
		return fmt.Errorf("answer in the ack: %w %v", err, err.messages)
	}
	s.place(m)
	return nil
}

func reason(err error) string {
	if e, ok := errors.AsType[*NotAcked](err); ok {
		return e.Reason
	}
	return err.Error()
}

// tell shows Slackbot's words to one person.
func (s *Sim) tell(user, channel, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place(&Message{Channel: channel, User: SlackbotID, Ephemeral: user, Text: text})
}

// Click presses a button that stands in the message now, its confirm dialog
// affirmed, and returns when that is acked. If several share the action id, the
// first is pressed; ClickValue chooses.
func (s *Sim) Click(user, channel, ts, actionID string) error {
	return s.click(user, channel, ts, func(e object) bool { return e["action_id"] == actionID }, actionID)
}

// ClickValue presses the button with that action id and value.
func (s *Sim) ClickValue(user, channel, ts, actionID, value string) error {
	return s.click(user, channel, ts, func(e object) bool {
		return e["action_id"] == actionID && e["value"] == value
	}, actionID+"="+value)
}

func (s *Sim) click(user, channel, ts string, match func(object) bool, what string) error {
	s.mu.Lock()
	m := s.find(channel, ts)
	if m == nil || m.Ephemeral != "" && m.Ephemeral != user {
		s.mu.Unlock()
		return fmt.Errorf("click %s on %s: %w", what, ts, ErrNoMessage)
	}
	block, el := findElement(m.Blocks, match)
	s.mu.Unlock()
	if el == nil {
		return fmt.Errorf("click %s on %s: %w", what, ts, ErrNoButton)
	}
	return s.press(user, channel, ts, action(block, el, ""))
}

// action is the wire form of a press; chosen is a menu's value.
func action(block Block, el object, chosen string) object {
	a := object{"action_id": el["action_id"], "block_id": block["block_id"], "type": el["type"],
		"action_ts": fmt.Sprintf("%d.000000", time.Now().Unix())}
	if el["type"] == "button" {
		a["text"], a["value"] = el["text"], el["value"]
		if el["value"] == nil {
			delete(a, "value")
		}
		return a
	}
	maps.Copy(a, inputState(el, chosen))
	return a
}

// ClickRaw presses a button that need not stand there any more: a click from an
// old screen. The message must exist, or have existed.
func (s *Sim) ClickRaw(user, channel, ts, blockID, actionID, value string) error {
	return s.press(user, channel, ts, object{"type": "button", "action_id": actionID, "block_id": blockID,
		"value": value, "text": object{"type": plain, "text": "?"}, "action_ts": "1.000000"})
}

// Choose takes an option of a menu in a message by its value.
func (s *Sim) Choose(user, channel, ts, actionID, value string) error {
	s.mu.Lock()
	m := s.find(channel, ts)
	var block Block
	var el object
	if m != nil {
		block, el = findElement(m.Blocks, func(e object) bool { return e["action_id"] == actionID })
	}
	s.mu.Unlock()
	if el == nil {
		return fmt.Errorf("choose %s: %w", actionID, ErrNoButton)
	}
	return s.press(user, channel, ts, action(block, el, value))
}

func (s *Sim) press(user, channel, ts string, act object) error {
	s.mu.Lock()
	p, err := s.interaction(user)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	r := responseURL{channel: channel, user: user, ts: ts}
	container := object{"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": false}
	if m := s.find(channel, ts); m != nil {
		msg := object{"type": "message", "ts": ts, "text": m.Text, "user": m.User, "bot_id": "B0BOT", "blocks": m.Blocks}
		if m.Thread != "" {
			msg["thread_ts"], container["thread_ts"], r.thread = m.Thread, m.Thread, m.Thread
		}
		container["is_ephemeral"] = m.Ephemeral != ""
		p.payload["message"] = msg
	}
	name := ""
	if c := s.channels[channel]; c != nil {
		name = c.Name
	}
	p.payload["channel"] = object{"id": channel, "name": name}
	p.payload["container"], p.payload["response_url"] = container, s.newResponse(r)
	p.payload["actions"], p.payload["state"] = []any{act}, object{"values": object{}}
	s.mu.Unlock()
	if _, err := s.deliver(context.Background(), p); err != nil {
		s.tell(user, channel, "That did not work: "+reason(err))
		return err
	}
	return nil
}

// interaction begins a block_actions payload. The lock is held.
func (s *Sim) interaction(user string) (parcel, error) {
	u := s.users[user]
	if u == nil {
		return parcel{}, fmt.Errorf("click by %s: no such user", user)
	}
	return parcel{name: "block_actions", kind: "interactive", path: "/slack/interactions", user: user, payload: object{
		"type": "block_actions", "api_app_id": "A0SIM", "token": "verification", "enterprise": nil,
		"is_enterprise_install": false, "trigger_id": s.newTrigger(user),
		"team": object{"id": s.opts.Team, "domain": "dropleak"},
		"user": object{"id": user, "username": u.Name, "name": u.Name, "team_id": u.Team}}}, nil
}

// ClickView presses a button in the modal a person has open, or else on their
// App Home.
func (s *Sim) ClickView(user, actionID string) error {
	s.mu.Lock()
	v := s.modal(user)
	var block Block
	var el object
	match := func(e object) bool { return e["action_id"] == actionID }
	if v != nil {
		block, el = findElement(v.Blocks, match)
	}
	if el == nil {
		if v = s.views[s.homes[user]]; v != nil {
			block, el = findElement(v.Blocks, match)
		}
	}
	p, err := s.interaction(user)
	if err == nil && el == nil {
		err = fmt.Errorf("click %s in a view: %w", actionID, ErrNoButton)
	}
	if err != nil {
		s.mu.Unlock()
		return err
	}
	p.payload["view"], p.payload["actions"] = v.wire(), []any{action(block, el, "")}
	p.payload["container"] = object{"type": "view", "view_id": v.ID}
	s.mu.Unlock()
	_, err = s.deliver(context.Background(), p)
	return err
}

// Submit sends in the modal a person has open, with values by action id: a text,
// or an option's value, several separated by commas. It returns Invalid when a
// field is missing or the bot sends it back.
func (s *Sim) Submit(user string, values map[string]string) error {
	s.mu.Lock()
	v := s.modal(user)
	p, err := s.interaction(user)
	if err != nil || v == nil {
		s.mu.Unlock()
		return errors.Join(err, fmt.Errorf("submit by %s: %w", user, ErrNoModal))
	}
	state, missing := v.fill(values)
	if len(missing) > 0 {
		v.Errors = missing
		s.bump()
		s.mu.Unlock()
		return missing
	}
	p.name = "view_submission"
	wire := v.wire()
	wire["state"] = object{"values": state}
	p.payload["type"], p.payload["view"] = "view_submission", wire
	id := v.ID
	s.mu.Unlock()
	payload, err := s.deliver(context.Background(), p)
	if err != nil {
		return err
	}
	return s.submitted(user, id, payload)
}

// fill makes the state of a view's inputs.
func (v *View) fill(values map[string]string) (object, Invalid) {
	state, missing := object{}, Invalid{}
	for _, b := range v.Blocks {
		if b["type"] != "input" {
			continue
		}
		el := obj(b["element"])
		id := str(el["action_id"])
		val, given := values[id]
		if !given {
			val = str(el["initial_value"])
			if at, ok := el["initial_date_time"].(float64); ok {
				val = strconv.FormatInt(int64(at), 10)
			}
			if o := obj(el["initial_option"]); o != nil {
				val = str(o["value"])
			}
		}
		if val == "" && !truth(b["optional"]) {
			missing[str(b["block_id"])] = "Please complete this required field."
			continue
		}
		st := inputState(el, val)
		st["type"] = el["type"]
		state[str(b["block_id"])] = object{id: st}
	}
	return state, missing
}

// inputState is what an input of this type says when it holds the value.
func inputState(el object, val string) object {
	pick := func(v string) any {
		for _, o := range list(el["options"]) {
			if obj(o)["value"] == v {
				return o
			}
		}
		return nil
	}
	switch kind := str(el["type"]); kind {
	case "static_select", "radio_buttons", "overflow":
		return object{"selected_option": pick(val)}
	case "checkboxes", "multi_static_select":
		var opts []any
		for _, v := range strings.Split(val, ",") {
			if o := pick(v); o != nil {
				opts = append(opts, o)
			}
		}
		return object{"selected_options": opts}
	case "users_select":
		return object{"selected_user": val}
	case "conversations_select":
		return object{"selected_conversation": val}
	case "channels_select":
		return object{"selected_channel": val}
	case "datepicker":
		return object{"selected_date": val}
	case "timepicker":
		return object{"selected_time": val}
	case "datetimepicker":
		if sec, err := strconv.ParseInt(val, 10, 64); err == nil {
			return object{"selected_date_time": sec}
		}
		at, err := time.Parse("2006-01-02T15:04", val) // as the page's field has it, in UTC
		if err != nil {
			return object{"selected_date_time": nil}
		}
		return object{"selected_date_time": at.Unix()}
	}
	if val == "" {
		return object{"value": nil}
	}
	return object{"value": val}
}

// submitted does what the ack of a submission says; nothing closes the modal.
func (s *Sim) submitted(user, id string, payload json.RawMessage) error {
	var a object
	if len(payload) > 0 {
		if err := json.Unmarshal(payload, &a); err != nil {
			return fmt.Errorf("answer to the submission: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.views[id]
	switch a["response_action"] {
	case "errors":
		v.Errors = map[string]string{}
		for k, e := range obj(a["errors"]) {
			v.Errors[k] = str(e)
		}
		s.bump()
		return Invalid(v.Errors)
	case "update", "push":
		next, err := s.readView(a["view"], "modal")
		if err != nil {
			return fmt.Errorf("view in the answer: %w %v", err, err.messages)
		}
		next.User = user
		if a["response_action"] == "update" {
			s.keep(next, id)
		} else {
			s.stacks[user] = append(s.stacks[user], s.keep(next, "").ID)
		}
	case "clear":
		s.stacks[user] = nil
		s.bump()
	default:
		s.popModal(user)
	}
	return nil
}

// OpenHome lets a person look at the App Home; the bot is told by an event, tried
// up to three times.
func (s *Sim) OpenHome(user string) error {
	s.mu.Lock()
	u := s.users[user]
	if u == nil {
		s.mu.Unlock()
		return fmt.Errorf("home of %s: no such user", user)
	}
	event := object{"type": "app_home_opened", "user": user, "channel": "D0" + user, "tab": "home",
		"event_ts": fmt.Sprintf("%d.000000", time.Now().Unix())}
	if v := s.views[s.homes[user]]; v != nil {
		event["view"] = v.wire()
	}
	p := parcel{name: "app_home_opened", kind: "events_api", path: "/slack/events", user: user, payload: object{
		"token": "verification", "team_id": u.Team, "api_app_id": "A0SIM", "type": "event_callback",
		"event_id": s.newID("Ev"), "event_time": time.Now().Unix(), "event": event}}
	s.mu.Unlock()
	var err error
	for range 3 {
		if _, err = s.deliver(context.Background(), p); err == nil {
			return nil
		}
	}
	return err
}

// WaitFor returns the first message, in any channel, thread or before any one's
// eyes, for which match holds, as soon as there is one.
func (s *Sim) WaitFor(ctx context.Context, match func(Message) bool) (Message, error) {
	var found Message
	err := s.Wait(ctx, func() bool {
		for _, m := range s.selectMessages(func(*Message) bool { return true }) {
			if match(m) {
				found = m
				return true
			}
		}
		return false
	})
	if err != nil {
		return Message{}, fmt.Errorf("wait for a message: %w", err)
	}
	return found, nil
}
