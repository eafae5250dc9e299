package detector_test

import (
	"strings"
	"testing"

	"github.com/dropleak/dropleak/detector"
)

// TestShrinkingPool judges pools whose children live for an hour or two at
// most. Where those that ended settled, the pool is healthy on their word;
// where they grew a little and never stopped, nobody knows; where half of them
// grew to their ends, they leak.
func TestShrinkingPool(t *testing.T) {
	for name, want := range map[string]struct {
		kind   detector.Kind
		reason detector.Reason
		says   string
	}{
		"autoscale-steady":   {detector.Healthy, detector.ReasonStep, "was level"},
		"autoscale-recycled": {detector.Unsure, detector.ReasonTooShort, "No child lives long enough"},
		"autoscale-cache":    {detector.Unsure, detector.ReasonTooShort, "No child lives long enough"},
		"autoscale-masked":   {detector.LeakMasked, detector.ReasonRecycled, "40 of 62 ended children grew to their last reading"},
	} {
		c := ownNode(t, name)
		v := detector.Judge(c.worker, c.end, detector.Options{})
		if v.Kind != want.kind || v.Reason != want.reason || !strings.Contains(strings.Join(v.Evidence, " "), want.says) {
			t.Errorf("%s: %s, %s, %q; want %v", name, v.Kind, v.Reason, v.Evidence, want)
		}
		if unsure := v.Kind == detector.Unsure; unsure != (v.HoursNeeded != nil && *v.HoursNeeded > 0) || unsure && v.Confidence > 0.5 {
			t.Errorf("%s: %s with confidence %.2f and %v hours needed", name, v.Kind, v.Confidence, v.HoursNeeded)
		}
	}
}
