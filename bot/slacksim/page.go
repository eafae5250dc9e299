package slacksim

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

//go:embed page/index.html
var pageHTML string

// pageRoutes serves the page and what it asks for. The page acts as any user it
// likes, so it is meant for loopback and answers no other host's name.
func (s *Sim) pageRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /sim/state", s.serveState)
	mux.HandleFunc("GET /sim/events", s.serveEvents)
	mux.HandleFunc("GET /sim/files/{id}", s.serveFile)
	for path, do := range map[string]func(deed) error{
		"say":     func(d deed) error { return s.Say(d.User, d.Channel, d.Text) },
		"command": func(d deed) error { return s.Command(d.User, d.Channel, d.Text) },
		"click":   s.pageClick,
		"submit":  func(d deed) error { return s.Submit(d.User, d.Values) },
		"close":   func(d deed) error { s.CloseModal(d.User); return nil },
		"home":    func(d deed) error { return s.OpenHome(d.User) },
	} {
		mux.HandleFunc("POST /sim/"+path, s.pageDeed(do))
	}
}

// deed is something a person does on the page.
type deed struct {
	User, Channel, TS string
	Text              string
	BlockID, ActionID string
	Choice            string // a menu's option
	View              bool
	Values            map[string]string
}

func (s *Sim) pageClick(d deed) error {
	if d.View {
		return s.ClickView(d.User, d.ActionID)
	}
	if d.Choice != "" {
		return s.Choose(d.User, d.Channel, d.TS, d.ActionID, d.Choice)
	}
	return s.ClickIn(d.User, d.Channel, d.TS, d.BlockID, d.ActionID)
}

// local refuses requests that another site caused: by a form (no JSON, no header
// of ours) or by a name that was made to point here.
func local(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Sim) pageDeed(do func(deed) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !local(r) || r.Header.Get("X-Slacksim") == "" {
			http.Error(w, "not from the page", http.StatusForbidden)
			return
		}
		var d deed
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&d); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err := do(d)
		if invalid, ok := errors.AsType[Invalid](err); ok {
			writeJSON(w, http.StatusOK, object{"errors": invalid})
			return
		}
		if err != nil {
			writeJSON(w, http.StatusOK, object{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, object{})
	}
}

func (s *Sim) servePage(w http.ResponseWriter, r *http.Request) {
	if !local(r) {
		http.Error(w, "the page answers on loopback only", http.StatusForbidden)
		return
	}
	nonce := secret()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "+
		"frame-ancestors 'none'; script-src 'nonce-"+nonce+"'; style-src 'nonce-"+nonce+"'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	fmt.Fprint(w, strings.ReplaceAll(pageHTML, "{{nonce}}", nonce))
}

func (s *Sim) serveFile(w http.ResponseWriter, r *http.Request) {
	data, _, ok := s.File(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	kind := http.DetectContentType(data)
	if !strings.HasPrefix(kind, "image/") {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.Write(data) // the browser went away: nobody to tell
}

// serveEvents says, as server-sent events, that something changed.
func (s *Sim) serveEvents(w http.ResponseWriter, r *http.Request) {
	flusher, ok := w.(http.Flusher)
	if !ok || !local(r) {
		http.Error(w, "no events here", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	beat := time.NewTicker(15 * time.Second)
	defer beat.Stop()
	for {
		s.mu.Lock()
		version, changed := s.version, s.changed
		s.mu.Unlock()
		if _, err := fmt.Fprintf(w, "data: %d\n\n", version); err != nil {
			return
		}
		flusher.Flush()
		select {
		case <-changed:
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
	}
}

// serveState is all one person sees.
func (s *Sim) serveState(w http.ResponseWriter, r *http.Request) {
	if !local(r) {
		http.Error(w, "the page answers on loopback only", http.StatusForbidden)
		return
	}
	me, channel := r.URL.Query().Get("user"), r.URL.Query().Get("channel")
	s.mu.Lock()
	o := s.stateLocked(me, channel)
	raw, err := json.Marshal(o)
	s.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(raw)
}

func (s *Sim) stateLocked(me, channel string) object {
	users, channels, messages := []object{}, []object{}, []object{}
	for _, u := range s.opts.Users {
		if cur := s.users[u.ID]; cur != nil {
			users = append(users, object{"id": cur.ID, "name": cur.Name, "real": cur.RealName, "bot": cur.Bot,
				"guest": cur.Guest, "stranger": cur.Stranger})
		}
	}
	for _, c := range s.opts.Channels {
		channels = append(channels, object{"id": c.ID, "name": c.Name})
	}
	for _, m := range s.messages {
		if !m.Deleted && m.Channel == channel && (m.Ephemeral == "" || m.Ephemeral == me) {
			messages = append(messages, object{"ts": m.TS, "thread": m.Thread, "user": m.User, "text": m.Text,
				"blocks": m.Blocks, "ephemeral": m.Ephemeral != "", "broadcast": m.Broadcast, "edits": m.Edits})
		}
	}
	o := object{"version": s.version, "banner": s.banner, "hints": s.opts.Hints, "users": users, "channels": channels,
		"messages": messages, "bot": s.opts.BotName, "linked": s.opts.AppURL != "" || len(s.sockets) > 0}
	if v := s.modal(me); v != nil {
		o["modal"] = v.page()
	}
	if v := s.views[s.homes[me]]; v != nil {
		o["home"] = v.page()
	}
	return o
}

func (v *View) page() object {
	return object{"id": v.ID, "hash": v.Hash, "title": v.Title, "submit": v.Submit, "blocks": v.Blocks, "errors": v.Errors}
}

// Say writes a person's own message. The bot is not told: it asks for no events
// of messages.
func (s *Sim) Say(user, channel, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user] == nil || s.channels[channel] == nil || text == "" {
		return fmt.Errorf("message by %s in %s: no such user or channel, or no text", user, channel)
	}
	s.place(&Message{Channel: channel, User: user, Text: text})
	return nil
}

// ClickIn presses the button of that block, for messages with several alike.
func (s *Sim) ClickIn(user, channel, ts, blockID, actionID string) error {
	s.mu.Lock()
	m := s.find(channel, ts)
	var inside []Block
	if m != nil {
		inside = deep(m.Blocks)
	}
	i := slices.IndexFunc(inside, func(b Block) bool { return b["block_id"] == blockID })
	s.mu.Unlock()
	if i < 0 {
		return fmt.Errorf("click %s in %s: %w", actionID, blockID, ErrNoButton)
	}
	_, el := findElement(inside[i:i+1], func(e object) bool { return e["action_id"] == actionID })
	if el == nil {
		return fmt.Errorf("click %s in %s: %w", actionID, blockID, ErrNoButton)
	}
	return s.press(user, channel, ts, action(inside[i], el, ""))
}

// deep lists blocks and the blocks within them.
func deep(blocks []Block) []Block {
	var out []Block
	for _, b := range blocks {
		out = append(append(out, b), deep(children(b))...)
	}
	return out
}
