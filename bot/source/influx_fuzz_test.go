package source

import (
	"bytes"
	"math"
	"testing"
)

// FuzzInflux: foreign bytes give series that history can keep or an error,
// never a panic.
func FuzzInflux(f *testing.F) {
	f.Add([]byte(`{"results":[{"series":[{"name":"procstat","tags":{"host":"web-1","pattern":"mail","pid":"7"},"columns":["time","memory_rss","cpu_time_user","cpu_time_system","created_at"],"values":[[1790000000000,5,1,2,1.7e18],[1790000001000,null]]}]}]}`))
	f.Add([]byte(`{"results":[{"series":[{"name":"memory_value","tags":{"host":"h","type":"memory","type_instance":"free"},"columns":["time","value"],"values":[[1790000000000,5]]},{"name":"processes_user","tags":{"host":"h","instance":"m","type":"ps_cputime"},"columns":["time","value"],"values":[[1,5]]}],"partial":true}]} {"results":[{}]}`))
	i, err := NewInflux(InfluxOptions{URL: "http://127.0.0.1:1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := readInflux(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, s := range i.series(rows) {
			for _, p := range s.Points {
				if s.Name() == "" || p.At <= 0 || math.IsNaN(p.V) || math.IsInf(p.V, 0) {
					t.Fatalf("%+v of %s", s, b)
				}
			}
		}
	})
}
