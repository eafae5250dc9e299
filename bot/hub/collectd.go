package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// PathCollectd takes what collectd's write_http posts under a sender's token.
const PathCollectd = "/api/v1/collectd"

// serveCollectd takes value lists of collectd. 204: committed, but for the
// parts of a host's memory whose other parts are still to come: collectd
// spreads them over requests, and they wait in memory.
func (h *Hub) serveCollectd(w http.ResponseWriter, r *http.Request) {
	if _, err := h.write(w, r, collectd); err != nil {
		h.answer(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

var collectd = intake{source: "collectd", message: collectdMessage, unpack: (*Hub).unpackCollectd}

// The two formats of write_http that are read, by their media types.
const (
	collectdJSON    = "application/json"
	collectdCommand = "text/plain"
)

func collectdMessage(r *http.Request) (string, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != collectdJSON && kind != collectdCommand {
		return "", refuse(http.StatusUnsupportedMediaType, `the content type is neither %s (Format "JSON") nor %s (Format "Command")`, collectdJSON, collectdCommand)
	}
	return kind, nil
}

// unpackCollectd makes series of a body.
func (h *Hub) unpackCollectd(t Token, msg string, body []byte) ([]sample.Series, error) {
	if t.Kind != Sender {
		return nil, refuse(http.StatusForbidden, "collectd needs a sender's token, which is bound to a tag")
	}
	of := h.parts.of(t.ID)
	c := &counter{left: h.o.MaxItems}
	var out []sample.Series
	use := func(v sample.CollectdValues) { out = append(out, of.Series(v)...) }
	each := eachCommand
	if msg == collectdJSON {
		each = eachValueList
	}
	err := each(body, c, use)
	if errors.Is(err, errMany) {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d value lists and values", h.o.MaxItems)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is nothing that write_http posts: %v", err)
	}
	return sample.Merge(out), nil
}

// parts holds what is still incomplete, for each token.
type parts struct {
	mu sync.Mutex
	by map[string]*sample.Collectd
}

func (p *parts) of(token string) *sample.Collectd {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[string]*sample.Collectd{}
	}
	if p.by[token] == nil {
		p.by[token] = &sample.Collectd{}
	}
	return p.by[token]
}

// valueList is one element of write_http's JSON.
type valueList struct {
	Values   []*float64 `json:"values"` // null: not known
	Time     float64    `json:"time"`
	Host     string     `json:"host"`
	Plugin   string     `json:"plugin"`
	Instance string     `json:"plugin_instance"`
	Type     string     `json:"type"`
	Part     string     `json:"type_instance"`
}

// eachValueList calls use for each element of a JSON array.
func eachValueList(body []byte, c *counter, use func(sample.CollectdValues)) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return errors.New("no JSON array")
	}
	for dec.More() {
		var l valueList
		if err := dec.Decode(&l); err != nil {
			return fmt.Errorf("element at byte %d: %w", dec.InputOffset(), err)
		}
		v := sample.CollectdValues{Host: l.Host, Plugin: l.Plugin, Instance: l.Instance, Type: l.Type, Part: l.Part}
		if err := c.some(1 + len(l.Values)); err != nil {
			return err
		}
		for _, x := range l.Values {
			if x == nil {
				v.Values = append(v.Values, sample.NaN)
				continue
			}
			v.Values = append(v.Values, *x)
		}
		var err error
		if v.At, err = collectdTime(l.Time); err != nil {
			return err
		}
		use(v)
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("the JSON array does not end")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the JSON array")
	}
	return nil
}

// some counts n items.
func (c *counter) some(n int) error {
	if c.left -= n; c.left < 0 {
		return errMany
	}
	return nil
}

// collectdTime is a moment in seconds since 1970.
func collectdTime(seconds float64) (time.Time, error) {
	if !(seconds >= 0 && seconds < 1e11) {
		return time.Time{}, fmt.Errorf("%g is no time", seconds)
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))), nil
}

// eachCommand calls use for each line "PUTVAL IDENTIFIER interval=S T:V…".
func eachCommand(body []byte, c *counter, use func(sample.CollectdValues)) error {
	n := 0
	for line := range strings.Lines(string(body)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		v, err := putval(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := c.some(1 + len(v.Values)); err != nil {
			return err
		}
		use(v)
	}
	return nil
}

func putval(line string) (v sample.CollectdValues, err error) {
	name, rest, err := identifier(strings.TrimPrefix(line, "PUTVAL "))
	where := strings.Split(name, "/")
	words := strings.Fields(rest)
	if err != nil || !strings.HasPrefix(line, "PUTVAL ") || len(where) != 3 || len(words) == 0 {
		return v, fmt.Errorf("%.60q is no PUTVAL", line)
	}
	v.Host = where[0]
	v.Plugin, v.Instance, _ = strings.Cut(where[1], "-")
	v.Type, v.Part, _ = strings.Cut(where[2], "-")
	stamp, values, _ := strings.Cut(words[len(words)-1], ":")
	seconds, err := strconv.ParseFloat(stamp, 64)
	if err != nil {
		return v, fmt.Errorf("%.60q has no time", line)
	}
	if v.At, err = collectdTime(seconds); err != nil {
		return v, err
	}
	for text := range strings.SplitSeq(values, ":") {
		x, err := strconv.ParseFloat(text, 64)
		if text == "U" || math.IsInf(x, 0) {
			x, err = sample.NaN, nil
		}
		if err != nil {
			return v, fmt.Errorf("%.60q has no value", line)
		}
		v.Values = append(v.Values, x)
	}
	return v, nil
}

// identifier parts a line's first word from the rest; one with spaces stands
// in quotes, and in these a backslash before what is meant literally.
func identifier(line string) (name, rest string, err error) {
	inner, quoted := strings.CutPrefix(line, `"`)
	if !quoted {
		name, rest, _ = strings.Cut(line, " ")
		return name, rest, nil
	}
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		switch {
		case inner[i] == '"':
			return b.String(), inner[i+1:], nil
		case inner[i] == '\\' && i+1 < len(inner):
			i++
		}
		b.WriteByte(inner[i])
	}
	return "", "", errors.New("no end of the quotes")
}
