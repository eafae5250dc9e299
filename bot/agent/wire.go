package agent

import (
	"fmt"
	"math"

	writev2 "github.com/prometheus/client_golang/exp/api/remote/genproto/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dropleak/dropleak/detector/sample"
)

// encodeV2 packs series as a remote-write 2.0 request. It is also how passes
// lie in the spool.
func encodeV2(series []sample.Series) ([]byte, error) {
	table := writev2.NewSymbolTable()
	req := &writev2.Request{}
	for _, s := range series {
		ts := &writev2.TimeSeries{Metadata: &writev2.Metadata{}}
		for _, l := range s.Labels {
			ts.LabelsRefs = append(ts.LabelsRefs, table.Symbolize(l.Name), table.Symbolize(l.Value))
		}
		for _, p := range s.Points {
			ts.Samples = append(ts.Samples, &writev2.Sample{Timestamp: p.At, Value: p.V})
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	req.Symbols = table.Symbols()
	raw, err := req.MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode pass: %w", err)
	}
	return raw, nil
}

func decodeV2(raw []byte) (*writev2.Request, error) {
	req := &writev2.Request{}
	if err := req.UnmarshalVT(raw); err != nil {
		return nil, fmt.Errorf("decode pass: %w", err)
	}
	for _, ts := range req.Timeseries {
		for _, ref := range ts.LabelsRefs {
			if int(ref) >= len(req.Symbols) {
				return nil, fmt.Errorf("decode pass: label %d of %d symbols", ref, len(req.Symbols))
			}
		}
		if len(ts.LabelsRefs)%2 != 0 {
			return nil, fmt.Errorf("decode pass: half a label")
		}
	}
	return req, nil
}

// v1 is a remote-write 1.0 request, already encoded. The remote client takes
// it for a gogo message; written by hand, since the package with the types
// brings in all of Prometheus.
type v1 []byte

// Size is the length of the encoded request in bytes.
func (m v1) Size() int { return len(m) }

// MarshalToSizedBuffer copies the encoded request.
func (m v1) MarshalToSizedBuffer(b []byte) (int, error) { return copy(b, m), nil }

// toV1 says the same in the older protocol:
// WriteRequest{1: TimeSeries{1: Label{1: name, 2: value}, 2: Sample{1: double, 2: int64}}}.
func toV1(req *writev2.Request) v1 {
	var out, series, part []byte
	for _, ts := range req.Timeseries {
		series = series[:0]
		for i := 0; i+1 < len(ts.LabelsRefs); i += 2 {
			part = protowire.AppendTag(part[:0], 1, protowire.BytesType)
			part = protowire.AppendString(part, req.Symbols[ts.LabelsRefs[i]])
			part = protowire.AppendTag(part, 2, protowire.BytesType)
			part = protowire.AppendString(part, req.Symbols[ts.LabelsRefs[i+1]])
			series = protowire.AppendTag(series, 1, protowire.BytesType)
			series = protowire.AppendBytes(series, part)
		}
		for _, s := range ts.Samples {
			part = protowire.AppendTag(part[:0], 1, protowire.Fixed64Type)
			part = protowire.AppendFixed64(part, math.Float64bits(s.Value))
			part = protowire.AppendTag(part, 2, protowire.VarintType)
			part = protowire.AppendVarint(part, uint64(s.Timestamp))
			series = protowire.AppendTag(series, 2, protowire.BytesType)
			series = protowire.AppendBytes(series, part)
		}
		out = protowire.AppendTag(out, 1, protowire.BytesType)
		out = protowire.AppendBytes(out, series)
	}
	return out
}
