package chat

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/remedy"
)

// shownIn is the JSON of blocks, with < and > as they are.
func shownIn(t *testing.T, blocks []slack.Block) string {
	t.Helper()
	raw, err := json.Marshal(blocks)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(raw))
}

// TestMomentsAreTheReaders: wherever a stored sentence is shown, what it says
// of a moment is in the reader's zone.
func TestMomentsAreTheReaders(t *testing.T) {
	const stored, shown = "since 2026-11-22T12:05:00Z", "<!date^1795349100^{date_short_pretty} {time}|22 Nov 12:05 UTC>"
	refused, _ := words(&remedy.Refusal{Words: stored})
	v, _ := rolled(3, "")
	turn := func(change func(*remedy.Turn)) string {
		change(&v.Turns[0])
		f := mail()
		f.ID = v.Turns[0].Finding
		return turnMark(f, remedy.View{}, v, noon)
	}
	trouble := under("snapshot")
	trouble.Trouble = stored
	for where, text := range map[string]string{
		"a refusal":                  refused,
		"an answer":                  answerWords(remedy.Answer{Words: stored, Accepted: true}, "U0ANNA"),
		"the end of a lease":         leaseEnd(&remedy.Lease{End: remedy.LeaseFailed, Why: stored}),
		"the queue on a card":        shownIn(t, card(change(asked(), func(v *remedy.View) { v.Card.Queue = stored }), noon)),
		"an error that repeats":      shownIn(t, progress(trouble, noon)),
		"a member passed over":       turn(func(t *remedy.Turn) { t.Passed = stored }),
		"a member left out":          turn(func(t *remedy.Turn) { t.Refused = stored }),
		"a card that leaves one out": rolloutCard(remedy.RolloutView{Turns: []remedy.Turn{{Refused: stored}}}),
		"a rolling restart's end":    rolloutEnd(remedy.RolloutView{End: remedy.RolloutHalted, Why: stored}),
	} {
		if !strings.Contains(text, shown) {
			t.Errorf("%s: %s", where, text)
		}
	}
}
