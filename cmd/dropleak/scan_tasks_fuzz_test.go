package main

import (
	"bytes"
	"math"
	"testing"
	"time"
)

// FuzzTasks: whatever stands in a file of task calls, what is read of it has a
// process, a name and moments that can be reckoned with.
func FuzzTasks(f *testing.F) {
	f.Add([]byte(`{"pid":7,"start":1795921000.5,"task":"app.a","begin":1795921126.25,"end":1795921127}` + "\n\n" + `{"pid":7,"task":"app.b","begin":0}`))
	f.Add([]byte(`{"pid":7,"task":"app.a","begin":1e300,"end":-1e300}`))
	f.Add([]byte(`{"pid":-1,"task":"app.a","begin":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		runs, _, err := decodeTasks(bytes.NewReader(b))
		if err != nil && runs != nil {
			t.Errorf("runs beside an error: %v", err)
		}
		for _, r := range runs {
			if r.PID <= 0 || r.Task == "" {
				t.Errorf("read %+v", r)
			}
			for _, at := range []time.Time{r.Start, r.Begin, r.End} {
				if !at.IsZero() && math.Abs(float64(at.Unix())) > 1e11 {
					t.Errorf("read the moment %v", at)
				}
			}
		}
	})
}
