package slacksim

// Button is something to press in a message.
type Button struct {
	ActionID, BlockID string
	Text, Value       string
	Style, URL        string
	// Confirm is the text of the dialog that asks again, "" for none.
	Confirm string
}

// Buttons are all buttons the message holds now, in reading order.
func (m Message) Buttons() []Button { return buttons(m.Blocks) }

// Buttons are all buttons of the view, in reading order.
func (v View) Buttons() []Button { return buttons(v.Blocks) }

func buttons(blocks []Block) []Button {
	var out []Button
	walk(blocks, func(b Block, e object) bool {
		if e["type"] == "button" {
			out = append(out, Button{ActionID: str(e["action_id"]), BlockID: str(b["block_id"]),
				Text: str(obj(e["text"])["text"]), Value: str(e["value"]), Style: str(e["style"]),
				URL: str(e["url"]), Confirm: str(obj(obj(e["confirm"])["text"])["text"])})
		}
		return false
	})
	return out
}

// findElement is the first interactive element that matches, and its block.
func findElement(blocks []Block, match func(object) bool) (block Block, el object) {
	walk(blocks, func(b Block, e object) bool {
		if !match(e) {
			return false
		}
		block, el = b, e
		return true
	})
	return block, el
}

// walk visits every interactive element until visit returns true.
func walk(blocks []Block, visit func(Block, object) bool) bool {
	for _, b := range blocks {
		for _, e := range elementsOf(b) {
			if visit(b, e) {
				return true
			}
		}
		if walk(children(b), visit) {
			return true
		}
	}
	return false
}

func elementsOf(b Block) []object {
	var out []object
	add := func(v any) {
		if o := obj(v); o != nil && str(o["action_id"]) != "" {
			out = append(out, o)
		}
	}
	add(b["accessory"])
	add(b["element"])
	for _, k := range []string{"elements", "actions"} {
		for _, e := range list(b[k]) {
			add(e)
		}
	}
	if b["type"] == "data_table" {
		for _, r := range list(b["rows"]) {
			for _, c := range list(r) {
				add(obj(c)["element"])
			}
		}
	}
	return out
}

// children are the blocks within a block.
func children(b Block) []Block {
	var out []Block
	add := func(v any) {
		if o := obj(v); o != nil {
			out = append(out, o)
		}
	}
	switch b["type"] {
	case "container":
		for _, c := range list(b["child_blocks"]) {
			add(c)
		}
	case "carousel":
		for _, c := range list(b["elements"]) {
			add(c)
		}
	case "layout":
		for _, r := range list(b["rows"]) {
			for _, it := range list(obj(r)["items"]) {
				add(obj(it)["block"])
			}
		}
	}
	return out
}
