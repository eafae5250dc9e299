package sample

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

// TestHostileMoments: a pid or a moment that cannot be is unknown, not a date
// that no JSON can hold.
func TestHostileMoments(t *testing.T) {
	for _, v := range []float64{1e300, -1e300, math.Inf(1), math.Inf(-1), -1, 3e11, 253402300800} {
		var series []Series
		for _, name := range []string{"dropleak_process_start_time_seconds", "dropleak_process_pid", "dropleak_droplet_boot_time_seconds"} {
			series = append(series, Series{Labels: labels(MetricName, name, "droplet", "42", "worker", "w", "slot", "0"), Points: []Point{{60_000, v}}})
		}
		passes, _ := Decode(series)
		if len(passes) != 1 || len(passes[0].Processes) != 1 || passes[0].Droplet == nil {
			t.Fatalf("%g: %+v", v, passes)
		}
		p, boot := passes[0].Processes[0], passes[0].Droplet.Boot
		if !p.Start.IsZero() || !boot.IsZero() || p.PID != 0 {
			t.Errorf("%g: pid %d, start %v, boot %v; want unknown", v, p.PID, p.Start, boot)
		}
		if _, err := json.Marshal([]time.Time{p.Start, boot}); err != nil {
			t.Errorf("%g: %v", v, err)
		}
	}
	if got := fromSeconds(1_700_000_000.25); got.UnixMilli() != 1_700_000_000_250 {
		t.Errorf("a good moment: %v", got)
	}
}
