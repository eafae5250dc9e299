package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
)

// Buttons and what they are called. The action is what comes back in a click.
const (
	ActionRestart    = "restart"      // value: run id
	ActionSkip       = "skip"         // value: run id
	ActionNotNow     = "not_now"      // value: finding id
	ActionFalseAlarm = "false_alarm"  // value: finding id
	ActionDetails    = "details"      // value: finding id
	ActionReview     = "review"       // value: finding id; a colon and the row follow the action
	ActionAskAgain   = "ask_again"    // value: finding id
	ActionCancel     = "cancel"       // value: run id
	ActionUnmute     = "unmute"       // value: finding id
	ActionWorker     = "worker"       // value: droplet id / worker
	ActionOffer      = "offer"        // value: droplet id / worker
	ActionUntil      = "until"        // value: finding id
	ActionQuiet      = "quiet"        // value: run id
	ActionKeep       = "keep"         // value: run id
	ActionDelete     = "delete"       // value: run id
	ActionRestore    = "how_restore"  // value: run id
	ActionLease      = "lease"        // value: run id
	ActionRevoke     = "revoke"       // value: lease id
	ActionUntilWorse = "until_worse"  // value: finding id
	ActionRollout    = "rollout"      // value: rollout id, a colon, the set it shows
	ActionRollNotNow = "roll_not_now" // value: rollout id
	ActionRollFalse  = "roll_false"   // value: rollout id
	ActionRollCancel = "roll_cancel"  // value: rollout id
	ActionRollAsk    = "roll_ask"     // value: incident id
	ActionChoice     = "choice"       // the command that goes on with it; a colon and a number follow the action
	ActionMore       = "more"         // a menu; value: the action of a choice, a colon, its value
)

// reasons are the detector's reasons in the words of people.
var reasons = map[detector.Reason]string{
	detector.ReasonLeak:          "leaks memory",
	detector.ReasonLeakingParent: "leaks memory in its parent process",
	detector.ReasonRecycled:      "leaks memory, hidden by recycling its processes",
	detector.ReasonWarmUp:        "was warming up",
	detector.ReasonStep:          "stepped up once and stayed",
	detector.ReasonStaircase:     "went up in stairs that stopped",
	detector.ReasonLoad:          "grows with its load",
	detector.ReasonSeasonal:      "follows the time of day",
	detector.ReasonNoise:         "varies without a direction",
	detector.ReasonBounded:       "fills and clears a cache",
	detector.ReasonFlat:          "is flat",
	detector.ReasonThrottled:     "is held back at its memory limit",
	detector.ReasonThreshold:     "is above its threshold",
	detector.ReasonNoData:        "has no data",
	detector.ReasonTooShort:      "has not been watched long enough",
	detector.ReasonBelowMaterial: "grows too little to matter",
}

// Reason says a reason after a worker's name.
func Reason(r detector.Reason) string {
	if words, ok := reasons[r]; ok {
		return words
	}
	return string(r)
}

// Sure says a confidence.
func Sure(c float64) string {
	switch {
	case c >= 0.95:
		return "very sure"
	case c >= 0.8:
		return "sure"
	case c >= 0.6:
		return "fairly sure"
	}
	return "not sure"
}

// Left says when memory runs out, with its range: "in 11 h (9–14 h)".
func Left(e *detector.Exhaustion, at time.Time) string {
	if e == nil || e.Expected.IsZero() {
		return ""
	}
	left := e.Expected.Sub(at)
	if left <= 0 {
		return "now"
	}
	switch {
	case e.Earliest.IsZero():
		return "in " + Duration(left)
	case e.Latest.IsZero():
		return fmt.Sprintf("in %s (not before %s)", Duration(left), Duration(e.Earliest.Sub(at)))
	}
	about, between := Duration(left), Between(e.Earliest.Sub(at), e.Latest.Sub(at))
	if about == between {
		return "in " + about
	}
	return fmt.Sprintf("in %s (%s)", about, between)
}

// Headline is the story of a finding in one line of plain text.
func Headline(f finding.Finding, at time.Time) string { return headline(f, f.Subject.Title(), at) }

func headline(f finding.Finding, title string, at time.Time) string {
	switch f.Subject.Kind {
	case finding.KindSilent:
		if f.Subject.Worker == "" {
			return title + " has gone silent"
		}
		return title + " is not seen any more"
	case finding.KindNoMetrics:
		return title + " sends no memory metrics"
	case finding.KindUnexplained:
		return title + ": memory grows and no worker explains it"
	case finding.KindThreshold:
		return title + " is above its memory threshold"
	case finding.KindClone:
		return title + ": a clone of it tries to report"
	}
	if left := Left(f.Verdict.Exhaustion, at); left != "" {
		return fmt.Sprintf("%s runs out of memory %s", title, left)
	}
	return fmt.Sprintf("%s %s", title, Reason(f.Verdict.Reason))
}

// Notice is what a notification says. Its first 80 characters hold the
// worker, the time left and the ask, whatever the names are.
func Notice(f finding.Finding, at time.Time, ask string) string {
	if f.State.Final() {
		ask = ""
	}
	s := headline(f, brief(f), at)
	if left, ok := finding.Left(f.Verdict.Exhaustion, at); ok && f.Subject.Kind == finding.KindLeak {
		s = brief(f) + ": out of memory in " + Duration(left)
	}
	if ask != "" {
		s += ". " + ask
	}
	return s
}

// How much of the names a notification holds.
const (
	briefWorker  = 18
	briefDroplet = 12
)

// brief names a finding's subject within a notification's room.
func brief(f finding.Finding) string {
	s := f.Subject
	s.Worker, s.DropletName = Plain(s.Worker, briefWorker), Plain(s.DropletName, briefDroplet)
	return s.Title()
}

// State says in a few words how a finding stands.
func State(f finding.Finding) string {
	if line := stateLine(f); line != "" {
		return line
	}
	if f.State == finding.InHand {
		return "a run is working on it"
	}
	return "open"
}

// stateLine says what was decided about a finding; "" while it is open.
func stateLine(f finding.Finding) string {
	switch f.State {
	case finding.Acknowledged:
		return ":eyes: seen by " + Mention(f.By)
	case finding.Muted:
		if f.MuteWorse {
			return ":zzz: muted by " + Mention(f.By) + " until it gets worse"
		}
		return ":zzz: muted by " + Mention(f.By) + " until " + Date(f.MutedUntil)
	case finding.Resolved:
		return ":white_check_mark: resolved: " + Escape(f.Why)
	case finding.Dismissed:
		return ":no_entry_sign: called a false alarm by " + Mention(f.By) + Because(f.Why)
	case finding.Gone:
		return ":heavy_minus_sign: no longer watched, not known to be cured: " + Escape(f.Why)
	}
	return ""
}

// Because adds a person's reason, if there is one, to what they decided.
func Because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + Escape(why)
}

// icons show severity beside words that say it too.
var icons = map[finding.Severity]string{finding.Critical: ":rotating_light:", finding.High: ":red_circle:",
	finding.Medium: ":large_orange_circle:", finding.Low: ":large_yellow_circle:"}

// icon is a finding's severity as long as there is something to do about it;
// beneath it stands what was decided.
func icon(f finding.Finding) string {
	if f.State.Final() {
		return ""
	}
	return icons[f.Severity]
}

var taskWords = map[detector.TaskKind]string{detector.TaskLeak: "leaks", detector.TaskClear: "does not leak,", detector.TaskUnsure: "may leak,"}

// sentence begins with a capital letter and ends with a stop.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "?") {
		s += "."
	}
	return s
}

// list joins names with commas and an "and".
func list(names []string) string {
	switch n := len(names); n {
	case 0:
		return ""
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}

// count says a number with its noun: "1 worker", "3 workers".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
