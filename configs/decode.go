package configs

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/dropleak/dropleak/bot/schedule"
)

// decoder walks the parsed file beside the Go value it fills. The library's
// own decoding stops at the first error and loses the position of a bad
// value; an operator wants all of them.
type decoder struct {
	file     string
	problems Problems
	at       positions // where each key's value stands

	unreadable bool // not YAML at all: nothing more can be said
}

// decodeFile fills into from the YAML text.
func (d *decoder) decodeFile(text []byte, into any) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors begin a file with it
	f, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return
	}
	for i, doc := range f.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			d.problem(doc.Body, "", "a second YAML document; one is read")
		default:
			if _, comments := doc.Body.(*ast.CommentGroupNode); comments {
				continue
			}
			if _, ok := doc.Body.(ast.MapNode); !ok {
				d.unreadable = true // all that is missing then is one mistake, not many
			}
			d.value(doc.Body, reflect.ValueOf(into).Elem(), "")
		}
	}
}

// syntax reports what the parser could not read.
func (d *decoder) syntax(err error) {
	p := Problem{File: d.file, Text: err.Error()}
	if t, ok := err.(interface{ GetToken() *token.Token }); ok && t.GetToken() != nil {
		pos := t.GetToken().Position
		p.Line, p.Column = pos.Line, pos.Column
	}
	if m, ok := err.(interface{ GetMessage() string }); ok {
		p.Text = m.GetMessage()
	}
	if strings.Contains(p.Text, "\t") && strings.Contains(p.Text, "cannot start any token") {
		p.Text = "a tab; YAML is indented with blanks"
	}
	d.problems, d.unreadable = append(d.problems, p), true
}

func (d *decoder) problem(n ast.Node, key, format string, args ...any) {
	p := Problem{File: d.file, Key: key, Text: fmt.Sprintf(format, args...)}
	if pos := position(n); pos != nil {
		p.Line, p.Column = pos.Line, pos.Column
	}
	d.problems = append(d.problems, p)
}

// position is where a node starts; a mapping's own token is its first colon.
func position(n ast.Node) *token.Position {
	if m, ok := n.(ast.MapNode); ok {
		if it := m.MapRange(); it.Next() {
			return position(it.Key())
		}
	}
	if t := n.GetToken(); t != nil {
		return t.Position
	}
	return nil
}

// value fills v from n, by the kind of v.
func (d *decoder) value(n ast.Node, v reflect.Value, path string) {
	switch n.(type) {
	case *ast.NullNode:
		return // an empty value keeps the default
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.problem(n, path, "anchors, aliases and tags are not read here")
		return
	}
	d.at[path] = position(n)
	switch p := v.Addr().Interface().(type) {
	case *Reports:
		d.reports(n, p, path)
		return
	case *Droplets:
		d.droplets(n, p, path)
		return
	case *Globs:
		d.globs(n, p, path)
		return
	case *Duration:
		d.scalar(n, path, func(s string) error {
			x, err := schedule.ParseDuration(s)
			*p = Duration(x)
			return err
		})
		return
	case *Size:
		d.scalar(n, path, func(s string) (err error) { *p, err = ParseSize(s); return })
		return
	case *Threshold:
		d.scalar(n, path, func(s string) (err error) { *p, err = ParseThreshold(s); return })
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.sequence(n, v, path)
	default:
		d.scalar(n, path, func(s string) error { return setScalar(v, s) })
	}
}

// setScalar parses s into a string, bool, int or float.
func setScalar(v reflect.Value, s string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		v.SetBool(s == "true")
	case reflect.Int:
		i, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		v.SetInt(int64(i))
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", s)
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("cannot read a %s", v.Kind())
	}
	return nil
}

// scalar hands the text of n to set.
func (d *decoder) scalar(n ast.Node, path string, set func(string) error) {
	s, ok := text(n)
	if !ok {
		d.problem(n, path, "wants one value, not a %s", strings.ToLower(n.Type().String()))
		return
	}
	if err := set(s); err != nil {
		d.problem(n, path, "%s", err)
	}
}

// text returns a scalar as it was written.
func text(n ast.Node) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.LiteralNode:
		return x.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// mapping fills the fields of a struct; keys it does not know are problems.
func (d *decoder) mapping(n ast.Node, v reflect.Value, path string) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.problem(n, path, "wants keys and values, not a %s", strings.ToLower(n.Type().String()))
		return
	}
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		name, ok := text(it.Key())
		if !ok {
			d.problem(it.Key(), path, "a key that is no plain text: %s", it.Key())
			continue
		}
		key := join(path, name)
		field, known := fieldByKey(v, name)
		switch {
		case !known:
			d.problem(it.Key(), key, "unknown key%s", suggestion(v, name))
		case seen[name]:
			d.problem(it.Key(), key, "given twice")
		default:
			d.value(it.Value(), field, key)
		}
		seen[name] = true
	}
}

func (d *decoder) sequence(n ast.Node, v reflect.Value, path string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.problem(n, path, "wants a list, not a %s", strings.ToLower(n.Type().String()))
		return
	}
	v.SetLen(0)
	for i, item := range s.Values {
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(item, e, fmt.Sprintf("%s[%d]", path, i))
		v.Set(reflect.Append(v, e))
	}
}

// reports reads one spec, or a list of specs with zone, channel and tag.
func (d *decoder) reports(n ast.Node, rs *Reports, path string) {
	if s, ok := text(n); ok {
		*rs = Reports{{Cron: s, TimeZone: "UTC"}}
		d.at[path+"[0].cron"] = n.GetToken().Position
		return
	}
	list := []Report{}
	d.value(n, reflect.ValueOf(&list).Elem(), path)
	*rs = list
}

// droplets reads a tag, one id, or a list of ids.
func (d *decoder) droplets(n ast.Node, ds *Droplets, path string) {
	if s, ok := text(n); ok {
		if id, err := strconv.ParseInt(s, 10, 64); err == nil {
			ds.IDs = []int64{id}
		} else {
			ds.Tag = strings.TrimPrefix(s, "tag:")
		}
		return
	}
	var ids []string
	d.value(n, reflect.ValueOf(&ids).Elem(), path)
	for i, s := range ids {
		id, err := strconv.ParseInt(s, 10, 64)
		if err != nil || id <= 0 {
			d.problem(n, fmt.Sprintf("%s[%d]", path, i), "%q is not a droplet id; a tag stands alone, not in a list", s)
			continue
		}
		ds.IDs = append(ds.IDs, id)
	}
}

// globs reads one pattern or a list of them.
func (d *decoder) globs(n ast.Node, gs *Globs, path string) {
	if s, ok := text(n); ok {
		*gs = Globs{s}
		d.at[path+"[0]"] = position(n)
		return
	}
	list := []string{}
	d.value(n, reflect.ValueOf(&list).Elem(), path)
	*gs = list
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func fieldByKey(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == name && tag != "-" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// suggestion names the known key that starts alike, if there is one.
func suggestion(v reflect.Value, name string) string {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		if tag != "-" && len(name) > 2 && (strings.HasPrefix(tag, name[:3]) || strings.EqualFold(tag, name)) {
			return "; did you mean " + tag + "?"
		}
	}
	return ""
}

// positions is where the value of each key stands in the file.
type positions map[string]*token.Position
