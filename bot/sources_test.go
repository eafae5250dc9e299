package bot

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector/sample"
)

// TestSourcesInTheHome: what is silent comes first; the newest sample, the
// rate and the gaps of the last day are those that `dropleak sources` reads.
func TestSourcesInTheHome(t *testing.T) {
	s, _ := assembled(t)
	at := time.Date(2026, 11, 28, 12, 34, 0, 0, time.UTC)
	told := func(worker, source string, minutes ...int) {
		t.Helper()
		labels := []sample.Label{{Name: sample.MetricName, Value: "dropleak_process_memory_bytes"}, {Name: "droplet", Value: "4711"},
			{Name: "kind", Value: "rss"}, {Name: "slot", Value: "main"}}
		if source != "" {
			labels = append(labels, sample.Label{Name: history.LabelSource, Value: source})
		}
		labels = append(labels, sample.Label{Name: "worker", Value: worker})
		for _, m := range minutes {
			one := sample.Series{Labels: labels, Points: []sample.Point{{At: at.Add(-time.Duration(m) * time.Minute).UnixMilli(), V: 1}}}
			if err := s.history.Write(t.Context(), []sample.Series{one}); err != nil {
				t.Fatal(err)
			}
		}
	}
	told("mail", "", 10, 8, 6, 4, 2, 0)
	told("video", "ssh", 66, 65, 64, 63, 62)
	told("holed", "prometheus", 64, 62, 60, 58, 8, 6, 4, 2, 0)
	told("long ago", "", 2000, 1999)
	got, err := s.told(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"video on 4711 by ssh: every 60 s, newest sample of 28 Nov 11:30 UTC or after, silent since, gaps in a day: 1, 62 min",
		"holed on 4711 by prometheus: every 2 min, newest sample of 28 Nov 12:30 UTC or after, gaps in a day: 1, 50 min",
		"mail on 4711 by agent: every 2 min, newest sample of 28 Nov 12:30 UTC or after, no gaps in a day",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}

	// Of a large fleet it names some and counts the rest, and looks again with the next span.
	for n := range homeTold {
		told(fmt.Sprintf("w%d", n), "", 3, 2, 1, 0)
	}
	if again, err := s.told(t.Context(), at.Add(time.Minute)); err != nil || len(again) != len(want) {
		t.Errorf("looked up again within the span: %q, %v", again, err)
	}
	later, err := s.told(t.Context(), at.Add(homeSpan))
	if err != nil || len(later) != homeTold+1 || later[homeTold] != "and 3 more: see dropleak sources" {
		t.Errorf("of %d: %q, %v", homeTold+3, later, err)
	}
}
