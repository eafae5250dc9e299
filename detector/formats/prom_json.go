package formats

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/dropleak/dropleak/detector/sample"
)

// promResult is one series of an answer of Prometheus' HTTP API.
type promResult struct {
	Metric map[string]string    `json:"metric"`
	Values [][2]json.RawMessage `json:"values"` // of a matrix
	Value  *[2]json.RawMessage  `json:"value"`  // of a vector
}

// readPromJSON reads answers of Prometheus' query and query_range, one or
// several in a file, or the bare list of series within. One series is held at
// a time.
func readPromJSON(in io.Reader, into *series, r *Reading) error {
	d := json.NewDecoder(bufio.NewReaderSize(in, 64<<10))
	d.UseNumber()
	for {
		t, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read JSON: %w", err)
		case t == json.Delim('{'):
			err = promObject(d, into, r)
		case t == json.Delim('['):
			err = promList(d, into, r)
		default:
			err = fmt.Errorf("%v is no answer of Prometheus", t)
		}
		if err != nil {
			return fmt.Errorf("read JSON: %w", err)
		}
	}
}

// promObject walks an object down to its result.
func promObject(d *json.Decoder, into *series, r *Reading) error {
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case "data":
			if t, err = d.Token(); err != nil {
				return err
			}
			if t != json.Delim('{') {
				return errors.New("data is no object")
			}
			err = promObject(d, into, r)
		case "result":
			if t, err = d.Token(); err != nil {
				return err
			}
			if t != json.Delim('[') {
				return errors.New("result is no list")
			}
			err = promList(d, into, r)
		case "error":
			var text string
			if err = d.Decode(&text); err == nil {
				r.note(0, "Prometheus answered: %.200s", text)
			}
		default:
			var skip json.RawMessage
			err = d.Decode(&skip)
		}
		if err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// promList reads series up to the closing bracket.
func promList(d *json.Decoder, into *series, r *Reading) error {
	for n := 1; d.More(); n++ {
		var one promResult
		var wrong *json.UnmarshalTypeError
		if err := d.Decode(&one); errors.As(err, &wrong) {
			r.note(0, "series %d is no series of a matrix or vector", n)
			continue
		} else if err != nil {
			return err
		}
		if err := one.into(into); err != nil {
			r.note(0, "series %d: %s", n, err)
		}
	}
	_, err := d.Token()
	return err
}

func (p promResult) into(s *series) error {
	labels := make([]sample.Label, 0, len(p.Metric))
	for name, value := range p.Metric {
		if value != "" {
			labels = append(labels, sample.Label{Name: name, Value: value})
		}
	}
	if !wanted(labels) {
		return nil
	}
	if p.Value != nil {
		p.Values = append(p.Values, *p.Value)
	}
	bad := 0
	for _, pair := range p.Values {
		ms, v, err := promPair(pair)
		if err != nil {
			bad++
			continue
		}
		if err := s.add(labels, ms, v); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d points are no [seconds, \"value\"]", bad, len(p.Values))
	}
	return nil
}

// promPair reads [seconds, "value"].
func promPair(pair [2]json.RawMessage) (ms int64, v float64, err error) {
	var at float64
	var text string
	if err := errors.Join(json.Unmarshal(pair[0], &at), json.Unmarshal(pair[1], &text)); err != nil {
		return 0, 0, err
	}
	if math.Abs(at) > farthest {
		return 0, 0, fmt.Errorf("time %v is out of range", at)
	}
	v, err = strconv.ParseFloat(text, 64)
	return int64(math.Round(at * 1000)), v, err
}
