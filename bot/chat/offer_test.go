package chat

import (
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/remedy"
)

// TestOffered: who asks hears that a question waits only where it does, and
// else what stands in its place.
func TestOffered(t *testing.T) {
	question, alone, taking, over := asked(), snapshotOnly(), under("snapshot"), ended(remedy.FreedWorking, "", "", "")
	for name, c := range map[string]struct {
		v        *remedy.View
		only     bool
		accepted bool
		words    string
	}{
		"a restart":                      {&question, false, true, "r3x7 waits for an approval."},
		"a snapshot":                     {&alone, true, true, "r3x7 waits for an approval."},
		"a snapshot stands":              {&alone, false, false, "r3x7 about this worker asks for a snapshot alone"},
		"approved":                       {&taking, false, false, "r3x7 about this worker is approved already: "},
		"another finding's":              {nil, false, false, "Another question or run about this worker stands"},
		"another finding's, after a run": {&over, false, false, "Another question or run about this worker stands"},
	} {
		a := offered(c.v, c.only)
		if a.Accepted != c.accepted || !strings.HasPrefix(a.Words, c.words) || (a.Refusal == nil) != c.accepted {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// TestOfferedRollout: a rolling restart that was answered waits for nobody.
func TestOfferedRollout(t *testing.T) {
	for want, v := range map[string]remedy.RolloutView{
		"r9 waits for an approval.":                   {ID: "r9"},
		"The rolling restart r9 is answered already;": {ID: "r9", Settled: &remedy.Vote{}},
	} {
		if a := offeredRollout(v); !strings.HasPrefix(a.Words, want) || a.Accepted != (v.Settled == nil) || (a.Refusal == nil) != a.Accepted {
			t.Errorf("%+v, want %q", a, want)
		}
	}
}
