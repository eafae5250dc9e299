package report

import (
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
)

// TestOnlyLeaksLeak: what stands about a worker that does not leak is not
// counted as a leak.
func TestOnlyLeaksLeak(t *testing.T) {
	asked := with(func(f *finding.Finding) {
		f.Verdict = detector.Verdict{Kind: detector.Healthy, Reason: detector.ReasonFlat}
	})
	for want, found := range map[string][]finding.Finding{"none leaking": {asked}, "1 leaking": {mail(), asked}} {
		if d := (Digest{At: noon, Scanned: true, Workers: lines(3), Findings: found}); !strings.Contains(d.headline(), want) {
			t.Errorf("%q, want %q", d.headline(), want)
		}
	}
}
