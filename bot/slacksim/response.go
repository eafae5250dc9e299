package slacksim

import (
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// responseURL answers a command or a click, five times within thirty minutes.
type responseURL struct {
	channel, user, ts, thread string
	at                        time.Time
	uses                      int
}

const (
	responseUses = 5
	responseLife = 30 * time.Minute
)

func (s *Sim) newResponse(r responseURL) string {
	token := secret()
	r.at = time.Now()
	s.responses[token] = &r
	return s.url + "/response/" + token
}

func (s *Sim) serveResponse(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	e := Entry{Kind: Respond, Name: "response_url", Body: body}
	apiErr := s.respond(r.PathValue("token"), body, &e)
	if apiErr != nil {
		e.Error = apiErr.code
	}
	s.note(e)
	s.mu.Unlock()
	if apiErr == nil {
		io.WriteString(w, "ok")
		return
	}
	status := http.StatusBadRequest
	if apiErr.code == "used_url" || apiErr.code == "expired_url" {
		status = http.StatusNotFound
	}
	o := object{"ok": false, "error": apiErr.code}
	if apiErr.messages != nil {
		o["response_metadata"] = object{"messages": apiErr.messages}
	}
	writeJSON(w, status, o)
}

// respond does what the body asks for. The lock is held.
func (s *Sim) respond(token string, body []byte, e *Entry) *apiError {
	u, ok := s.responses[token]
	if !ok || time.Since(u.at) > responseLife {
		return fail("expired_url")
	}
	e.Channel, e.User = u.channel, u.user
	if u.uses >= responseUses {
		return fail("used_url")
	}
	var args object
	if json.Unmarshal(body, &args) != nil {
		return fail("invalid_payload")
	}
	old := s.find(u.channel, u.ts)
	if truth(args["delete_original"]) {
		if old == nil {
			return fail("message_not_found")
		}
		u.uses++
		old.Deleted = true
		s.bump()
		return nil
	}
	m := &Message{Channel: u.channel, User: "U0BOT", Thread: u.thread, Ephemeral: u.user}
	if args["response_type"] == "in_channel" {
		m.Ephemeral = ""
	}
	if err := s.content(m, args, 40000, "response"); err != nil {
		return err
	}
	u.uses++
	if truth(args["replace_original"]) && old != nil {
		old.replace(*m)
		e.TS = old.TS
		s.bump()
		return nil
	}
	s.place(m)
	e.TS = m.TS
	return nil
}
