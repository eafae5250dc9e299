// Package finding is what we believe is wrong: its identity and its life
// (open, acknowledged, muted, in hand, resolved, dismissed).
package finding

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// Kind says what sort of trouble a finding is.
type Kind string

// The kinds. KindSilent is its own finding because silence never reads as
// health; KindUnexplained is growth of a droplet that no worker explains;
// KindThreshold is a worker that holds what its operator called too much,
// whether it leaks or not; KindSource is a source that is silent as a whole;
// KindMissing is several workers of a droplet, or one and the droplet's memory,
// that went missing together.
// KindRequest is no trouble at all: a person asked for a run about a worker of
// which nothing is known to be wrong. It lives as long as that run.
const (
	KindLeak        Kind = "leak"
	KindThreshold   Kind = "threshold"
	KindUnexplained Kind = "unexplained"
	KindSilent      Kind = "silent"
	KindNoMetrics   Kind = "no_metrics"
	KindSource      Kind = "source"
	KindMissing     Kind = "missing"
	KindClone       Kind = "clone"
	KindRequest     Kind = "request"
)

// OfSilence reports whether it is that something was heard of and no longer is.
func (k Kind) OfSilence() bool {
	return k == KindSilent || k == KindNoMetrics || k == KindSource || k == KindMissing
}

// OfWorker reports whether it is trouble that a restart of the worker may end.
func (k Kind) OfWorker() bool { return k == KindLeak || k == KindThreshold }

// State is where a finding stands in its life.
type State string

// The states. Resolved, Dismissed and Gone are final: the same trouble coming
// back opens a new finding.
const (
	Open         State = "open"
	Acknowledged State = "acknowledged"
	Muted        State = "muted"
	InHand       State = "in_hand" // a run is working on it
	Resolved     State = "resolved"
	Dismissed    State = "dismissed" // a person said: false alarm
	Gone         State = "gone"      // its subject is no longer watched; whether it was cured nobody knows
)

// Final reports whether nothing more happens to a finding in this state.
func (s State) Final() bool { return s == Resolved || s == Dismissed || s == Gone }

// Severity orders findings by the time that is left.
type Severity string

// From worst to mildest.
const (
	Critical Severity = "critical" // under two hours left, or OOM kills seen
	High     Severity = "high"     // under a day left
	Medium   Severity = "medium"   // under a week left, or masked
	Low      Severity = "low"      // longer, or unknown
)

// Subject is what a finding is about. Worker is empty for a finding about a
// droplet as a whole, and so is the droplet for one about a source.
type Subject struct {
	Kind        Kind
	DropletID   string // DigitalOcean's id in decimal, as in every label
	DropletName string
	Worker      string
	Source      string `json:",omitempty"` // of KindSource: what history calls it
}

// Key identifies the subject: at most one finding that is not final exists
// for a key.
func (s Subject) Key() string {
	if s.Kind == KindSource {
		return string(s.Kind) + "/" + s.Source
	}
	return string(s.Kind) + "/" + s.DropletID + "/" + s.Worker
}

// Title names the subject for people: "worker on droplet", or whichever of
// the two is known, or "source name".
func (s Subject) Title() string {
	if s.Kind == KindSource {
		return "source " + s.Source
	}
	name := cmp.Or(s.DropletName, s.DropletID)
	switch {
	case s.Worker == "":
		return name
	case name == "": // from a file
		return s.Worker
	}
	return s.Worker + " on " + name
}

// Finding is one piece of trouble over its whole life.
type Finding struct {
	ID      string // opaque, safe to show and to put in a button's value
	Subject Subject
	State   State
	Version int64 // grows with every stored change; compare-and-set on it

	Opened, Updated time.Time
	Closed          time.Time // zero until final
	LastSeen        time.Time // the last evaluation that still saw it; of silence that heard of it again

	Severity Severity
	Verdict  detector.Verdict         // of the worker; zero for droplet findings
	Droplet  *detector.DropletVerdict // of its droplet, where judged
	Share    float64                  // share of the droplet's growth this worker explains; 0 unknown
	OOMKills int                      // seen since Opened
	Summary  string                   // one sentence for kinds without a verdict

	Threshold  float64   // bytes that its operator calls too much, of a threshold's finding
	Worst      float64   // highest rate in bytes per hour reported so far; of a threshold the most bytes held
	MutedUntil time.Time // zero: muted until worse
	MuteWorse  bool      // unmute when the rate or severity gets worse
	By         string    // Slack user id of the last person who changed the state
	Why        string    // the words of that person, or of the resolution
	RunID      string    // the run working on it, or the last one

	App, Unit string    // what Celery and the manager call it, where known
	Began     time.Time // when its growth, or its silence, began, in real time; zero: not known
	Heard     time.Time // of silence: since when it is heard of again; zero: it is not
	Source    string    // of no metrics: the source that told last; empty: DigitalOcean's own; of what is missing: empty for its agent
	Incident  string    // the id of the incident it belongs to, see [Gather]; empty: none
	Outage    *Outage   `json:",omitempty"` // of a source
	Missing   *Missing  `json:",omitempty"` // of a droplet

	Channel, MessageTS string    // the one Slack message of this finding; empty before it is posted
	Picture            string    // Slack file id of its newest chart; empty for none
	Drawn              time.Time // as of when Picture is
}

// Outage is how a source that is silent stands, and what that costs.
type Outage struct {
	Workers, Droplets int    // that nobody else tells of: workers, and the droplets of these, or droplets alone where Workers is 0
	Sends             bool   // it tells by itself; else it is asked
	Answers           bool   // it is asked and answers, with nothing new
	Removed           bool   `json:",omitempty"` // from the configuration, or its token was revoked
	Never             bool   `json:",omitempty"` // it never answered: what it would tell of nobody knows
	Trouble           string // what came instead of an answer, in the words of whoever asked
}

// Missing is what of a droplet went missing together.
type Missing struct {
	Workers []string // that are not heard of, sorted
	Back    []string `json:",omitempty"` // that were among them and are heard of again, sorted
	Memory  bool     // the droplet's own memory is not heard of either
	Off     bool     `json:",omitempty"` // DigitalOcean says that the droplet is off

	MemoryBack bool `json:",omitempty"` // the memory was not heard of, and is again
}

// All is how many workers went missing, those that are back among them.
func (m *Missing) All() int { return len(m.Workers) + len(m.Back) }

// Gone reports whether a worker, or the memory of the droplet by the name of
// none, is not heard of.
func (m *Missing) Gone(worker string) bool {
	if worker == "" {
		return m.Memory
	}
	return slices.Contains(m.Workers, worker)
}

// Of reports whether it is gone or was, and is back.
func (m *Missing) Of(worker string) bool {
	return m.Gone(worker) || slices.Contains(m.Back, worker) || worker == "" && m.MemoryBack
}

// Returned is that all of it is heard of again.
func (m *Missing) Returned() *Missing {
	if m == nil {
		return nil
	}
	back := slices.Concat(m.Workers, m.Back)
	slices.Sort(back)
	return &Missing{Back: back, MemoryBack: m.Memory || m.MemoryBack}
}

// Equal reports whether another says the same.
func (m *Missing) Equal(other *Missing) bool {
	if m == nil || other == nil {
		return m == other
	}
	return slices.Equal(m.Workers, other.Workers) && slices.Equal(m.Back, other.Back) &&
		m.Memory == other.Memory && m.MemoryBack == other.MemoryBack && m.Off == other.Off
}

// Leaks reports whether it is a leak.
func (f Finding) Leaks() bool { return f.Subject.Kind == KindLeak && f.Verdict.Kind.Leaks() }

// OnRequest reports whether it stands only because a person asked for a run: as
// a request, or, opened by a release that knew no requests, as a live leak that
// was never judged to be one.
func (f Finding) OnRequest() bool {
	return f.Subject.Kind == KindRequest || f.Subject.Kind == KindLeak && !f.State.Final() && f.By != "" && f.Verdict.Kind == detector.Healthy
}

// Filter narrows a list of findings. Zero fields do not narrow.
type Filter struct {
	Live      bool // only states that are not final
	DropletID string
	Worker    string
	Incident  string
	Since     time.Time // Updated at or after
	Limit     int
}

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such finding")
	ErrConflict = errors.New("finding changed meanwhile")
)
