package slacksim

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// table checks the two kinds of tables. A data_table has a header and up to a
// hundred rows, and its cells may be numbers and buttons.
func (c *checker) table(kind string, b object, at string) {
	least, most := 1, 100
	if kind == "data_table" {
		least, most = 2, 101
		c.dataTable(b, at)
	}
	width, chars := -1, 0
	ids := map[string]bool{}
	for i, r := range c.items(b["rows"], at+"/rows", least, most) {
		p := fmt.Sprintf("%s/rows/%d", at, i)
		row := list(r)
		if width < 0 {
			width = len(row)
		}
		if len(row) != width || len(row) == 0 || len(row) > 20 {
			c.bad(p, "must have as many cells as the first row, 1 to 20")
		}
		for j, cell := range row {
			c.cell(kind, obj(cell), i == 0, fmt.Sprintf("%s/%d", p, j))
			if id := str(obj(obj(cell)["element"])["action_id"]); id != "" {
				if ids[id] {
					c.bad(fmt.Sprintf("%s/%d/element/action_id", p, j), "action_id %q already exists", id)
				}
				ids[id] = true
			}
			chars += utf8.RuneCountInString(strings.Join(readable(cell), ""))
		}
	}
	if chars > 10000 {
		c.bad(at+"/rows", "must be less than 10001 characters")
	}
}

// dataTable checks what only a data_table has.
func (c *checker) dataTable(b object, at string) {
	if str(b["caption"]) == "" {
		c.bad(at+"/caption", "missing required field: caption")
	}
	if v, ok := b["page_size"]; ok {
		if n, is := v.(float64); !is || n < 1 || n > 100 || n != float64(int(n)) {
			c.bad(at+"/page_size", "must be between 1 and 100")
		}
	}
	if c.surface == "modal" || c.surface == "home" {
		c.bad(at+"/type", "unsupported type: data_table")
	}
}

// cell checks one cell; head says that it is in the first row.
func (c *checker) cell(kind string, o object, head bool, at string) {
	data := kind == "data_table"
	switch t := str(o["type"]); {
	case t == "raw_text":
		if str(o["text"]) == "" {
			c.bad(at+"/text", "must be more than 0 characters")
		}
	case data && head:
		c.bad(at+"/type", "unsupported type in the header: %s", t)
	case t == "rich_text":
		c.items(o["elements"], at+"/elements", 1, 100)
	case t == "raw_number" && data:
		if _, ok := o["value"].(float64); !ok {
			c.bad(at+"/value", "must be a number")
		}
	case t == "action_cell" && data:
		if obj(o["element"])["type"] != "button" {
			c.bad(at+"/element/type", "must be a button")
		}
		c.element(obj(o["element"]), at+"/element")
		if f := obj(o["fallback"]); f != nil && f["type"] != "raw_text" && f["type"] != "raw_number" {
			c.bad(at+"/fallback/type", "unsupported type: %s", str(f["type"]))
		}
	default:
		c.bad(at+"/type", "unsupported type: %s", t)
	}
}
