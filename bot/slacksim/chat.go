package slacksim

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Block is a Block Kit block as it came over the wire.
type Block = map[string]any

// Message is what stands in a channel, or before one person's eyes.
type Message struct {
	Channel string
	TS      string
	Thread  string // the parent's TS, "" for a message of the channel itself
	User    string
	Text    string
	Blocks  []Block
	// Ephemeral is the only person who sees it, "" for all.
	Ephemeral string
	Broadcast bool
	Edits     int
	Edited    time.Time
	Deleted   bool
	// History holds the JSON of every earlier state's blocks, oldest first.
	History []json.RawMessage
}

// SlackbotID is who tells a user that a request was not taken.
const SlackbotID = "USLACKBOT"

func (m *Message) clone() Message {
	c := *m
	c.Blocks = slices.Clone(m.Blocks)
	c.History = slices.Clone(m.History)
	return c
}

func (s *Sim) postMessage(args object) (object, *apiError) {
	c, err := s.writable(str(args["channel"]))
	if err != nil {
		return nil, err
	}
	m := &Message{Channel: c.ID, User: "U0BOT", Thread: str(args["thread_ts"]), Broadcast: truth(args["reply_broadcast"])}
	if m.Thread != "" && s.find(c.ID, m.Thread) == nil {
		return nil, fail("thread_not_found")
	}
	if err := s.content(m, args, 40000, "message"); err != nil {
		return nil, err
	}
	s.place(m)
	return object{"channel": c.ID, "ts": m.TS, "message": object{"text": m.Text, "ts": m.TS, "user": m.User}}, nil
}

// place gives m its timestamp and makes it visible. The lock is held.
func (s *Sim) place(m *Message) {
	m.TS = s.newTS()
	s.messages = append(s.messages, m)
	s.bump()
}

// content puts text and blocks of a call into m, if Slack would accept them.
func (s *Sim) content(m *Message, args object, maxText int, surface string) *apiError {
	text, hasBlocks := str(args["text"]), false
	var blocks []Block
	if raw, ok := args["blocks"]; ok && raw != nil {
		l, isList := raw.([]any)
		if !isList {
			return fail("invalid_blocks_format")
		}
		hasBlocks = len(l) > 0
		var msgs []string
		if blocks, msgs = s.validate(l, surface); msgs != nil {
			return fail("invalid_blocks", msgs...)
		}
	}
	if text == "" && !hasBlocks {
		return fail("no_text")
	}
	if n := utf8.RuneCountInString(text); n > maxText {
		if maxText == 4000 {
			return fail("msg_too_long")
		}
		text = string([]rune(text)[:maxText])
	}
	m.Text, m.Blocks = text, blocks
	return nil
}

func (s *Sim) postEphemeral(args object) (object, *apiError) {
	c, err := s.writable(str(args["channel"]))
	if err != nil {
		return nil, err
	}
	user := str(args["user"])
	if s.users[user] == nil || !c.has(user) {
		return nil, fail("user_not_in_channel")
	}
	m := &Message{Channel: c.ID, User: "U0BOT", Ephemeral: user, Thread: str(args["thread_ts"])}
	if err := s.content(m, args, 40000, "message"); err != nil {
		return nil, err
	}
	s.place(m)
	return object{"message_ts": m.TS}, nil
}

func (s *Sim) updateMessage(args object) (object, *apiError) {
	c, err := s.writable(str(args["channel"]))
	if err != nil {
		return nil, err
	}
	m := s.find(c.ID, str(args["ts"]))
	if m == nil || s.faults.LostMessages[m.TS] || s.faults.LostMessages["*"] {
		return nil, fail("message_not_found")
	}
	if m.User != "U0BOT" || m.Ephemeral != "" {
		return nil, fail("cant_update_message")
	}
	next := Message{}
	if err := s.content(&next, args, 4000, "message"); err != nil {
		return nil, err
	}
	m.replace(next)
	s.bump()
	return object{"channel": c.ID, "ts": m.TS, "text": m.Text}, nil
}

// replace puts another state in place, keeping the old one in the history.
func (m *Message) replace(next Message) {
	old, err := json.Marshal(m.Blocks)
	if err != nil {
		panic(err) // blocks came from JSON
	}
	m.History = append(m.History, old)
	m.Text, m.Blocks = next.Text, next.Blocks
	m.Edits++
	m.Edited = time.Now()
}

func (s *Sim) deleteMessage(args object) (object, *apiError) {
	m := s.find(str(args["channel"]), str(args["ts"]))
	if m == nil {
		return nil, fail("message_not_found")
	}
	if m.User != "U0BOT" || m.Ephemeral != "" {
		return nil, fail("cant_delete_message")
	}
	m.Deleted = true
	s.bump()
	return object{"channel": m.Channel, "ts": m.TS}, nil
}

// find is the living message of that name, nil if none. The lock is held.
func (s *Sim) find(channel, ts string) *Message {
	for _, m := range s.messages {
		if m.Channel == channel && m.TS == ts && !m.Deleted {
			return m
		}
	}
	return nil
}

// Message is one message by name.
func (s *Sim) Message(channel, ts string) (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.find(channel, ts); m != nil {
		return m.clone(), true
	}
	return Message{}, false
}

func (s *Sim) selectMessages(keep func(*Message) bool) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Message
	for _, m := range s.messages {
		if !m.Deleted && keep(m) {
			out = append(out, m.clone())
		}
	}
	return out
}

// Messages are what all see in a channel, oldest first, threads left out.
func (s *Sim) Messages(channel string) []Message {
	return s.selectMessages(func(m *Message) bool {
		return m.Channel == channel && m.Ephemeral == "" && (m.Thread == "" || m.Broadcast)
	})
}

// Thread is the replies to a message, oldest first.
func (s *Sim) Thread(channel, ts string) []Message {
	return s.selectMessages(func(m *Message) bool {
		return m.Channel == channel && m.Ephemeral == "" && m.Thread == ts
	})
}

// Ephemerals are what only this person sees, oldest first.
func (s *Sim) Ephemerals(user string) []Message {
	return s.selectMessages(func(m *Message) bool { return m.Ephemeral == user })
}

// PlainText is everything there is to read in the message's blocks and its text,
// a line each, buttons in brackets.
func (m Message) PlainText() string {
	lines := []string{m.Text}
	for _, b := range m.Blocks {
		lines = append(lines, readable(b)...)
	}
	return readAloud(strings.Join(lines, "\n"))
}

// readAloud is text without what only its look needs: spaces at which no line
// is broken.
func readAloud(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }

// readable collects every text in a piece of Block Kit, in the order of reading.
func readable(v any) []string {
	switch v := v.(type) {
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, readable(e)...)
		}
		return out
	case object:
		if t, ok := v["text"].(string); ok {
			return []string{t}
		}
		var out []string
		for _, k := range []string{"title", "text", "fields", "alt_text", "caption", "elements", "accessory", "rows", "label", "element", "child_blocks"} {
			if k == "alt_text" || k == "caption" {
				if t := str(v[k]); t != "" {
					out = append(out, t)
				}
				continue
			}
			out = append(out, readable(v[k])...)
		}
		if v["type"] == "button" {
			return []string{"[" + strings.Join(out, " ") + "]"}
		}
		return out
	}
	return nil
}
