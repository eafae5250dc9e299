package chat

import (
	"testing"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
)

// TestRequestEnds: a request ends with its run, whatever came of it; what an older
// release opened in its place stands while a person has something to do.
func TestRequestEnds(t *testing.T) {
	request := finding.Finding{Subject: finding.Subject{Kind: finding.KindRequest}}
	old := finding.Finding{Subject: finding.Subject{Kind: finding.KindLeak}}
	for _, tt := range []struct {
		f       finding.Finding
		outcome remedy.Outcome
		want    bool
	}{
		{request, "", false}, {request, remedy.FreedWorking, true}, {request, remedy.NotRunning, true},
		{old, "", false}, {old, remedy.FreedWorking, true}, {old, remedy.TimedOut, true}, {old, remedy.NotRunning, false}, {old, remedy.Unclear, false},
	} {
		if got := ends(tt.f, tt.outcome); got != tt.want {
			t.Errorf("%s after %q: ends %v", tt.f.Subject.Kind, tt.outcome, got)
		}
	}
}
