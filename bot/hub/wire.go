package hub

import (
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"

	"github.com/dropleak/dropleak/detector/sample"
	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"
)

// The two messages of remote write, by the names its specification gives.
const (
	protoV1 = "prometheus.WriteRequest"
	protoV2 = "io.prometheus.write.v2.Request"
)

// message returns which message a request's headers announce.
func message(r *http.Request) (string, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-protobuf" {
		return "", refuse(http.StatusUnsupportedMediaType, "the content type is not application/x-protobuf")
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "snappy" {
		return "", refuse(http.StatusUnsupportedMediaType, "the content encoding is not snappy")
	}
	switch p := params["proto"]; p {
	case "", protoV1:
		return protoV1, nil
	case protoV2:
		return protoV2, nil
	default:
		return "", refuse(http.StatusUnsupportedMediaType, "the message %q is not known", p)
	}
}

// uncompress undoes snappy, refusing what would be larger than limit before
// making room for it.
func uncompress(body []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is not snappy: %v", err)
	}
	if n > limit {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body is %d bytes decompressed, at most %d", n, limit)
	}
	out, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is not snappy: %v", err)
	}
	return out, nil
}

// decode reads a message of either version. What dropleak has no use for
// (metadata, exemplars, histograms) is passed over. Two bytes on the wire can
// make fifty in memory, so what is made is counted, up to most.
func decode(msg string, b []byte, most int) ([]sample.Series, error) {
	var series []sample.Series
	var err error
	c := &counter{left: most}
	if msg == protoV2 {
		series, err = c.decodeV2(b)
	} else {
		series, err = c.decodeV1(b)
	}
	if errors.Is(err, errMany) {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d series, labels and samples", most)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is not a %s: %v", msg, err)
	}
	return series, nil
}

var errWire, errMany = errors.New("malformed"), errors.New("too many")

// counter counts what a message is unpacked into.
type counter struct{ left int }

func (c *counter) one() error {
	if c.left--; c.left < 0 {
		return errMany
	}
	return nil
}

// fields calls use for every field of a message: v is the number of a varint
// or the bits of a fixed one, b the bytes of the rest.
func fields(b []byte, use func(num protowire.Number, typ protowire.Type, v uint64, b []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errWire
		}
		b = b[n:]
		var v uint64
		var sub []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			sub, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return errWire
		}
		b = b[n:]
		if err := use(num, typ, v, sub); err != nil {
			return err
		}
	}
	return nil
}

func (c *counter) decodeV1(b []byte) (out []sample.Series, err error) {
	err = fields(b, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) error {
		if num != 1 || typ != protowire.BytesType {
			return nil
		}
		if err := c.one(); err != nil {
			return err
		}
		var s sample.Series
		err := fields(b, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) error {
			if err := c.one(); err != nil {
				return err
			}
			switch {
			case num == 1 && typ == protowire.BytesType:
				l, err := decodeLabel(b)
				s.Labels = append(s.Labels, l)
				return err
			case num == 2 && typ == protowire.BytesType:
				p, err := decodePoint(b)
				s.Points = append(s.Points, p)
				return err
			}
			return nil
		})
		out = append(out, s)
		return err
	})
	return out, err
}

func decodeLabel(b []byte) (l sample.Label, err error) {
	err = fields(b, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) error {
		switch {
		case num == 1 && typ == protowire.BytesType:
			l.Name = string(b)
		case num == 2 && typ == protowire.BytesType:
			l.Value = string(b)
		}
		return nil
	})
	return l, err
}

// decodePoint reads a sample, the same in both versions.
func decodePoint(b []byte) (p sample.Point, err error) {
	err = fields(b, func(num protowire.Number, typ protowire.Type, v uint64, _ []byte) error {
		switch {
		case num == 1 && typ == protowire.Fixed64Type:
			p.V = math.Float64frombits(v)
		case num == 2 && typ == protowire.VarintType:
			p.At = int64(v)
		}
		return nil
	})
	return p, err
}

func (c *counter) decodeV2(b []byte) ([]sample.Series, error) {
	var symbols []string
	var raw [][]byte
	err := fields(b, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) error {
		if err := c.one(); err != nil {
			return err
		}
		switch {
		case num == 4 && typ == protowire.BytesType:
			symbols = append(symbols, string(b))
		case num == 5 && typ == protowire.BytesType:
			raw = append(raw, b)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]sample.Series, len(raw))
	for i, b := range raw {
		if out[i], err = c.decodeSeriesV2(b, symbols); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *counter) decodeSeriesV2(b []byte, symbols []string) (s sample.Series, err error) {
	var refs []uint64
	err = fields(b, func(num protowire.Number, typ protowire.Type, v uint64, b []byte) error {
		if err := c.one(); err != nil {
			return err
		}
		switch {
		case num == 1 && typ == protowire.VarintType:
			refs = append(refs, v)
		case num == 1 && typ == protowire.BytesType: // packed
			for len(b) > 0 {
				v, n := protowire.ConsumeVarint(b)
				if n < 0 {
					return errWire
				}
				if err := c.one(); err != nil {
					return err
				}
				refs, b = append(refs, v), b[n:]
			}
		case num == 2 && typ == protowire.BytesType:
			p, err := decodePoint(b)
			s.Points = append(s.Points, p)
			return err
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	if len(refs)%2 != 0 {
		return s, fmt.Errorf("a label without a value: %w", errWire)
	}
	for i := 0; i < len(refs); i += 2 {
		if refs[i] >= uint64(len(symbols)) || refs[i+1] >= uint64(len(symbols)) {
			return s, fmt.Errorf("a label points past the symbols: %w", errWire)
		}
		s.Labels = append(s.Labels, sample.Label{Name: symbols[refs[i]], Value: symbols[refs[i+1]]})
	}
	return s, nil
}
