package demo

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// call is one XML-RPC request as supervisord takes it.
type call struct {
	Method string  `xml:"methodName"`
	Params []param `xml:"params>param>value"`
}

// param is a value of the two kinds that supervisord's callers send.
type param struct {
	Text string `xml:",chardata"` // a string may stand bare
	Str  string `xml:"string"`
	Bool string `xml:"boolean"`
}

func (p param) text() string {
	if p.Str != "" {
		return p.Str
	}
	return strings.TrimSpace(p.Text)
}

// arg is a parameter's text; "" when it was not sent.
func (c call) arg(n int) string {
	if n >= len(c.Params) {
		return ""
	}
	return c.Params[n].text()
}

func readCall(r io.Reader) (call, error) {
	var c call
	if err := xml.NewDecoder(io.LimitReader(r, 1<<16)).Decode(&c); err != nil {
		return c, fmt.Errorf("read call: %w", err)
	}
	return c, nil
}

// fault is an error with supervisord's number.
type fault struct {
	code int
	text string
}

func (f *fault) Error() string { return f.text }

// Numbers of supervisord's faults.
const (
	faultUnknownMethod  = 1
	faultBadName        = 10
	faultSpawn          = 50
	faultAlreadyStarted = 60
	faultNotRunning     = 70
)

// answer is the body of a response: the value, or the error as a fault.
func answer(v any, err error) string {
	var f *fault
	switch {
	case errors.As(err, &f):
	case err != nil:
		f = &fault{faultSpawn, err.Error()}
	default:
		return xml.Header + "<methodResponse><params><param>" + value(v) + "</param></params></methodResponse>"
	}
	return xml.Header + "<methodResponse><fault>" +
		value(members{{"faultCode", f.code}, {"faultString", f.text}}) + "</fault></methodResponse>"
}

// member is one of a struct's, in order.
type member struct {
	name  string
	value any
}

type members []member

// value encodes bool, int, string, members and lists of those.
func value(v any) string {
	var b strings.Builder
	switch v := v.(type) {
	case bool:
		fmt.Fprintf(&b, "<boolean>%d</boolean>", map[bool]int{true: 1}[v])
	case int:
		b.WriteString("<int>" + strconv.Itoa(v) + "</int>")
	case members:
		b.WriteString("<struct>")
		for _, m := range v {
			fmt.Fprintf(&b, "<member><name>%s</name>%s</member>", m.name, value(m.value))
		}
		b.WriteString("</struct>")
	case []members:
		b.WriteString("<array><data>")
		for _, m := range v {
			b.WriteString(value(m))
		}
		b.WriteString("</data></array>")
	case string:
		b.WriteString("<string>")
		_ = xml.EscapeText(&b, []byte(v)) // a Builder takes everything
		b.WriteString("</string>")
	default:
		panic(fmt.Sprintf("value of type %T", v))
	}
	return "<value>" + b.String() + "</value>"
}
