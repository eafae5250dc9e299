package detector_test

import (
	"strings"
	"testing"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/synth"
)

// TestCompareIsRarelyWrong: a made leak before, and after it either a made
// healthy worker or a leak again. A fix that did not work is not called one,
// nor one that did a failure, and most are told at all.
func TestCompareIsRarelyWrong(t *testing.T) {
	t.Parallel()
	var leaks, healthy []synth.Case
	for _, f := range synth.Families() {
		for seed := uint64(520_000); seed < 520_002; seed++ {
			c := f.Make(seed, synth.Params{})
			switch {
			case strings.HasPrefix(f.Name, "h"):
				healthy = append(healthy, c)
			case detector.Judge(c.Worker, c.At, detector.Options{}).Kind == detector.Leak:
				leaks = append(leaks, c)
			}
		}
	}
	told := map[bool]map[detector.Fix]int{true: {}, false: {}}
	for i, before := range leaks {
		after := healthy[i%len(healthy)]
		again := leaks[(i+7)%len(leaks)]
		told[true][detector.Compare(before.Worker, after.Worker, detector.Options{}).Answer]++
		told[false][detector.Compare(before.Worker, again.Worker, detector.Options{}).Answer]++
	}
	if told[false][detector.Fixed] > 0 || told[true][detector.NotFixed] > 0 || told[true][detector.Fixed] < len(leaks)/2 || told[false][detector.NotFixed] < len(leaks)/2 {
		t.Errorf("answers after a fix %v, without one %v", told[true], told[false])
	}
	t.Logf("of %d leaks: fixed %v, not fixed %v", len(leaks), told[true], told[false])
}
