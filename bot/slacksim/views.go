package slacksim

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// View is a modal or a home page.
type View struct {
	ID, Hash, Type string
	CallbackID     string
	Title, Submit  string
	Metadata       string
	User           string
	Blocks         []Block
	// Errors are what the last submission was sent back with, by block id.
	Errors map[string]string
}

// trigger allows one view within three seconds.
type trigger struct {
	user string
	at   time.Time
	used bool
}

const triggerLife = 3 * time.Second

func (s *Sim) newTrigger(user string) string {
	s.serial++
	id := fmt.Sprintf("%d.%d.%s", s.serial, time.Now().Unix(), secret())
	s.triggers[id] = &trigger{user: user, at: time.Now()}
	return id
}

func (s *Sim) useTrigger(id string) (user string, err *apiError) {
	t, ok := s.triggers[id]
	switch {
	case !ok:
		return "", fail("invalid_trigger_id")
	case t.used:
		return "", fail("exchanged_trigger_id")
	case s.faults.ExpireTriggers || time.Since(t.at) > triggerLife:
		return "", fail("expired_trigger_id")
	}
	t.used = true
	return t.user, nil
}

// readView checks a view argument and makes a View of it. The lock is held.
func (s *Sim) readView(v any, kind string) (*View, *apiError) {
	if raw, ok := v.(string); ok {
		if json.Unmarshal([]byte(raw), &v) != nil {
			return nil, fail("invalid_arguments", "[ERROR] view is not JSON [json-pointer:/view]")
		}
	}
	o := obj(v)
	if o == nil || str(o["type"]) != kind {
		return nil, fail("invalid_arguments", "[ERROR] must be of type "+kind+" [json-pointer:/view/type]")
	}
	raw, err := json.Marshal(o)
	if err != nil || len(raw) > 250_000 {
		return nil, fail("view_too_large")
	}
	c := &checker{sim: s, surface: kind, blockID: map[string]bool{}, count: map[string]int{}}
	if kind == "modal" {
		c.text(o["title"], "/view/title", 24, plain)
		for _, k := range []string{"submit", "close"} {
			if o[k] != nil {
				c.text(o[k], "/view/"+k, 24, plain)
			}
		}
	}
	c.length(str(o["private_metadata"]), "/view/private_metadata", 3000)
	c.length(str(o["callback_id"]), "/view/callback_id", 255)
	blocks, msgs := s.validate(list(o["blocks"]), kind)
	msgs = append(c.errs, msgs...)
	if kind == "modal" && o["submit"] == nil && slices.ContainsFunc(blocks, func(b Block) bool { return b["type"] == "input" }) {
		msgs = append(msgs, "[ERROR] submit is required with input blocks [json-pointer:/view/submit]")
	}
	if msgs != nil {
		return nil, fail("invalid_arguments", msgs...)
	}
	return &View{Type: kind, CallbackID: str(o["callback_id"]), Metadata: str(o["private_metadata"]),
		Title: str(obj(o["title"])["text"]), Submit: str(obj(o["submit"])["text"]), Blocks: blocks}, nil
}

// keep gives the view an id and a fresh hash. The lock is held.
func (s *Sim) keep(v *View, id string) *View {
	if id == "" {
		id = s.newID("V")
	}
	s.serial++
	v.ID, v.Hash = id, fmt.Sprintf("%d.%06x", time.Now().Unix(), s.serial)
	s.views[id] = v
	s.bump()
	return v
}

func (v *View) wire() object {
	o := object{"id": v.ID, "hash": v.Hash, "type": v.Type, "callback_id": v.CallbackID,
		"private_metadata": v.Metadata, "blocks": v.Blocks, "state": object{"values": object{}}}
	if v.Type == "modal" {
		o["title"] = object{"type": plain, "text": v.Title}
	}
	return o
}

func (s *Sim) viewsOpen(args object) (object, *apiError) { return s.openModal(args, true) }
func (s *Sim) viewsPush(args object) (object, *apiError) { return s.openModal(args, false) }

func (s *Sim) openModal(args object, fresh bool) (object, *apiError) {
	v, err := s.readView(args["view"], "modal")
	if err != nil {
		return nil, err
	}
	user, err := s.useTrigger(str(args["trigger_id"]))
	if err != nil {
		return nil, err
	}
	if fresh {
		s.stacks[user] = nil
	} else if len(s.stacks[user]) >= 3 {
		return nil, fail("push_limit_reached")
	}
	v.User = user
	s.keep(v, "")
	s.stacks[user] = append(s.stacks[user], v.ID)
	return object{"view": v.wire()}, nil
}

func (s *Sim) viewsUpdate(args object) (object, *apiError) {
	old, ok := s.views[str(args["view_id"])]
	if !ok || old.Type != "modal" || !slices.Contains(s.stacks[old.User], old.ID) {
		return nil, fail("not_found")
	}
	if h := str(args["hash"]); h != "" && h != old.Hash {
		return nil, fail("hash_conflict")
	}
	v, err := s.readView(args["view"], "modal")
	if err != nil {
		return nil, err
	}
	v.User = old.User
	s.keep(v, old.ID)
	return object{"view": v.wire()}, nil
}

func (s *Sim) viewsPublish(args object) (object, *apiError) {
	user := str(args["user_id"])
	if s.users[user] == nil {
		return nil, fail("user_not_found")
	}
	id := s.homes[user]
	if h := str(args["hash"]); h != "" && (id == "" || s.views[id].Hash != h) {
		return nil, fail("hash_conflict")
	}
	v, err := s.readView(args["view"], "home")
	if err != nil {
		return nil, err
	}
	v.User = user
	s.keep(v, id)
	s.homes[user] = v.ID
	return object{"view": v.wire()}, nil
}

// Modal is the modal a person has before them.
func (s *Sim) Modal(user string) (View, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.modal(user); v != nil {
		return *v, true
	}
	return View{}, false
}

func (s *Sim) modal(user string) *View {
	st := s.stacks[user]
	if len(st) == 0 {
		return nil
	}
	return s.views[st[len(st)-1]]
}

// Home is a person's App Home as last published.
func (s *Sim) Home(user string) (View, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.views[s.homes[user]]
	if !ok {
		return View{}, false
	}
	return *v, true
}

// CloseModal closes the modal a person has before them.
func (s *Sim) CloseModal(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.popModal(user)
}

func (s *Sim) popModal(user string) {
	if st := s.stacks[user]; len(st) > 0 {
		s.stacks[user] = st[:len(st)-1]
	}
	s.bump()
}
