package slacksim

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// checker collects what Slack would refuse in a set of blocks, each complaint
// with a JSON pointer. Source of the limits: Slack's Block Kit reference.
type checker struct {
	sim     *Sim
	surface string // message, response, modal or home
	errs    []string
	blockID map[string]bool
	count   map[string]int
	inputs  int
	serial  int
}

// validate returns the blocks with block ids filled in, or the complaints. The
// lock is held.
func (s *Sim) validate(blocks []any, surface string) ([]Block, []string) {
	c := &checker{sim: s, surface: surface, blockID: map[string]bool{}, count: map[string]int{}}
	most := 50
	if surface == "modal" || surface == "home" {
		most = 100
	}
	if len(blocks) > most {
		c.bad("/blocks", "no more than %d items allowed", most)
	}
	out := make([]Block, 0, len(blocks))
	for i, v := range blocks {
		b, ok := v.(object)
		if !ok {
			c.bad(fmt.Sprintf("/blocks/%d", i), "must be an object")
			continue
		}
		c.block(b, fmt.Sprintf("/blocks/%d", i))
		out = append(out, b)
	}
	if c.count["table"] > 1 {
		c.bad("/blocks", "only one table is allowed")
	}
	if c.count["data_visualization"] > 2 {
		c.bad("/blocks", "only two data_visualization blocks are allowed")
	}
	return out, c.errs
}

func (c *checker) bad(at, format string, args ...any) {
	c.errs = append(c.errs, "[ERROR] "+fmt.Sprintf(format, args...)+" [json-pointer:"+at+"]")
}

// text checks a text object; kinds is what types it may have.
func (c *checker) text(v any, at string, most int, kinds ...string) {
	t, ok := v.(object)
	if !ok {
		c.bad(at, "missing required field: text object")
		return
	}
	kind, s := str(t["type"]), str(t["text"])
	if !slices.Contains(kinds, kind) {
		c.bad(at+"/type", "unsupported type: %s", kind)
	}
	if s == "" {
		c.bad(at+"/text", "must be more than 0 characters")
	}
	c.length(s, at+"/text", most)
	if _, has := t["emoji"]; has && kind == "mrkdwn" {
		c.bad(at+"/emoji", "unexpected field with mrkdwn")
	}
}

func (c *checker) length(s, at string, most int) {
	if n := utf8.RuneCountInString(s); n > most {
		c.bad(at, "must be less than %d characters", most+1)
	}
}

func (c *checker) items(v any, at string, least, most int) []any {
	l := list(v)
	if len(l) < least || len(l) > most {
		c.bad(at, "must have between %d and %d items", least, most)
	}
	return l
}

const (
	plain  = "plain_text"
	mrkdwn = "mrkdwn"
)

// nested are the block types that only appear here, and those not on some surfaces.
var onlyOn = map[string][]string{
	"alert": {"modal"}, "markdown": {"message", "response"}, "context_actions": {"message", "response"},
}

func (c *checker) block(b object, at string) {
	kind := str(b["type"])
	c.count[kind]++
	if c.sim.faults.RefuseBlocks[kind] {
		c.bad(at+"/type", "unsupported type: %s", kind)
		return
	}
	if on := onlyOn[kind]; on != nil && !slices.Contains(on, c.surface) {
		c.bad(at+"/type", "unsupported type: %s", kind)
		return
	}
	c.id(b, at)
	switch kind {
	case "header":
		c.text(b["text"], at+"/text", 150, plain)
	case "section":
		c.section(b, at)
	case "divider":
	case "context":
		for i, e := range c.items(b["elements"], at+"/elements", 1, 10) {
			p := fmt.Sprintf("%s/elements/%d", at, i)
			if obj(e)["type"] == "image" {
				c.image(obj(e), p)
			} else {
				c.text(e, p, 3000, plain, mrkdwn)
			}
		}
	case "actions":
		c.elements(c.items(b["elements"], at+"/elements", 1, 25), at+"/elements")
	case "context_actions":
		c.elements(c.items(b["elements"], at+"/elements", 1, 5), at+"/elements")
	case "image":
		c.image(b, at)
		if b["title"] != nil {
			c.text(b["title"], at+"/title", 2000, plain)
		}
	case "input":
		c.input(b, at)
	case "markdown":
		c.length(str(b["text"]), at+"/text", 12000)
	default:
		c.newer(kind, b, at)
	}
}

// newer checks the blocks of 2025 and 2026.
func (c *checker) newer(kind string, b object, at string) {
	switch kind {
	case "rich_text":
		c.items(b["elements"], at+"/elements", 1, 100)
	case "table", "data_table":
		c.table(kind, b, at)
	case "data_visualization":
		c.length(str(b["title"]), at+"/title", 50)
		if str(b["title"]) == "" || obj(b["chart"]) == nil {
			c.bad(at, "missing required field: title or chart")
		}
	case "card":
		c.elements(list(b["actions"]), at+"/actions")
		if len(list(b["actions"])) > 3 {
			c.bad(at+"/actions", "must have between 1 and 3 items")
		}
	case "alert":
		c.text(b["text"], at+"/text", 200, plain, mrkdwn)
	case "carousel":
		for i, e := range c.items(b["elements"], at+"/elements", 1, 10) {
			c.block(obj(e), fmt.Sprintf("%s/elements/%d", at, i))
		}
	case "container":
		for i, e := range c.items(b["child_blocks"], at+"/child_blocks", 1, 10) {
			c.block(obj(e), fmt.Sprintf("%s/child_blocks/%d", at, i))
		}
	case "layout":
		for i, r := range c.items(b["rows"], at+"/rows", 1, 5) {
			for j, it := range c.items(obj(r)["items"], fmt.Sprintf("%s/rows/%d/items", at, i), 1, 3) {
				c.block(obj(obj(it)["block"]), fmt.Sprintf("%s/rows/%d/items/%d/block", at, i, j))
			}
		}
	case "plan", "task_card", "video", "file":
	default:
		c.bad(at+"/type", "unsupported type: %s", kind)
	}
}

// id checks a block's id, or makes one as Slack does.
func (c *checker) id(b object, at string) {
	id := str(b["block_id"])
	if id == "" {
		c.serial++
		id = fmt.Sprintf("sim%d", c.serial)
		b["block_id"] = id
	}
	c.length(id, at+"/block_id", 255)
	if c.blockID[id] {
		c.bad(at+"/block_id", "block_id %q already exists", id)
	}
	c.blockID[id] = true
}

func (c *checker) section(b object, at string) {
	if b["text"] == nil && b["fields"] == nil {
		c.bad(at, "missing required field: text or fields")
	}
	if b["text"] != nil {
		c.text(b["text"], at+"/text", 3000, plain, mrkdwn)
	}
	if b["fields"] != nil {
		for i, f := range c.items(b["fields"], at+"/fields", 1, 10) {
			c.text(f, fmt.Sprintf("%s/fields/%d", at, i), 2000, plain, mrkdwn)
		}
	}
	if b["accessory"] != nil {
		c.elements([]any{b["accessory"]}, at+"/accessory")
	}
}

func (c *checker) image(b object, at string) {
	alt := str(b["alt_text"])
	if alt == "" {
		c.bad(at+"/alt_text", "missing required field: alt_text")
	}
	c.length(alt, at+"/alt_text", 2000)
	src, ref := str(b["image_url"]), obj(b["slack_file"])
	if (src == "") == (ref == nil) {
		c.bad(at, "exactly one of image_url and slack_file is required")
	}
	c.length(src, at+"/image_url", 3000)
	if ref == nil {
		return
	}
	f := c.sim.files[str(ref["id"])]
	if f == nil || !c.sim.ready(f) || c.surface == "response" {
		c.bad(at+"/slack_file", "invalid slack file")
	}
}

func (c *checker) input(b object, at string) {
	if c.surface != "modal" && c.surface != "home" {
		c.bad(at+"/type", "unsupported type: input")
	}
	c.inputs++
	c.text(b["label"], at+"/label", 2000, plain)
	if b["hint"] != nil {
		c.text(b["hint"], at+"/hint", 2000, plain)
	}
	if b["element"] == nil {
		c.bad(at+"/element", "missing required field: element")
		return
	}
	c.elements([]any{b["element"]}, at+"/element")
}

// elements checks interactive elements; action ids are unique within them.
func (c *checker) elements(l []any, at string) {
	ids := map[string]bool{}
	for i, v := range l {
		e, p := obj(v), fmt.Sprintf("%s/%d", at, i)
		id := str(e["action_id"])
		c.length(id, p+"/action_id", 255)
		if id != "" && ids[id] {
			c.bad(p+"/action_id", "action_id %q already exists", id)
		}
		ids[id] = true
		c.element(e, p)
	}
}

func (c *checker) element(e object, at string) {
	if d := obj(e["confirm"]); d != nil {
		c.text(d["title"], at+"/confirm/title", 100, plain)
		c.text(d["text"], at+"/confirm/text", 300, plain, mrkdwn)
		c.text(d["confirm"], at+"/confirm/confirm", 30, plain)
		c.text(d["deny"], at+"/confirm/deny", 30, plain)
	}
	kind := str(e["type"])
	switch kind {
	case "button":
		c.text(e["text"], at+"/text", 75, plain)
		c.length(str(e["value"]), at+"/value", 2000)
		c.length(str(e["url"]), at+"/url", 3000)
		if s, ok := e["style"]; ok && s != "primary" && s != "danger" {
			c.bad(at+"/style", "unknown style: %v", s)
		}
	case "image":
		c.image(e, at)
	case "overflow":
		c.options(e["options"], at, 5)
	case "static_select", "multi_static_select":
		if e["option_groups"] == nil {
			c.options(e["options"], at, 100)
		}
	case "radio_buttons", "checkboxes":
		c.options(e["options"], at, 10)
	case "plain_text_input", "number_input", "datepicker", "timepicker", "datetimepicker", "email_text_input",
		"url_text_input", "users_select", "multi_users_select", "conversations_select", "channels_select",
		"external_select", "rich_text_input", "feedback_buttons", "icon_button", "workflow_button", "file_input":
	default:
		c.bad(at+"/type", "unsupported type: %s", kind)
	}
}

func (c *checker) options(v any, at string, most int) {
	for i, o := range c.items(v, at+"/options", 1, most) {
		p := fmt.Sprintf("%s/options/%d", at, i)
		c.text(obj(o)["text"], p+"/text", 75, plain, mrkdwn)
		c.length(str(obj(o)["value"]), p+"/value", 150)
	}
}
