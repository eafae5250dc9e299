// Package detector decides from series of measurements whether memory leaks,
// since when, how fast, how sure, and when it runs out.
//
// It is pure: no network, files, SQL or clock. What is "now" is an argument.
// Memory is in bytes, time in [time.Time] or hours, rates in bytes per hour.
// "Not measured" is NaN on the way in and never appears on the way out.
package detector

import "time"

// Role is what a process does inside its Celery node.
type Role string

// The roles a process can have. An embedded beat, a separate beat or flower
// is RoleOther and never counted as a pool process.
const (
	RoleParent  Role = "parent"
	RoleChild   Role = "child"
	RoleOther   Role = "other"
	RoleUnknown Role = "unknown"
)

// Pool is the kind of execution pool a node runs.
type Pool string

// The pools Celery ships, and PoolUnknown where the source cannot tell.
const (
	PoolUnknown  Pool = ""
	PoolPrefork  Pool = "prefork"
	PoolSolo     Pool = "solo"
	PoolThreads  Pool = "threads"
	PoolEventlet Pool = "eventlet"
	PoolGevent   Pool = "gevent"
)

// Sample is one reading of one process. Memory in bytes, CPU in seconds
// since the process started; a field that was not measured is NaN.
type Sample struct {
	At                  time.Time
	RSS, PSS, USS, Swap float64
	CPU                 float64
}

// Life is one process from its start to its end: the same pid and the same
// start within two seconds. Samples ascend strictly in time.
type Life struct {
	PID     int
	Start   time.Time // zero where the source does not tell
	Role    Role
	Slot    string // "main" for the parent, [SlotGroup] for a sum, else decimal; "" where unknown
	Samples []Sample
}

// SlotGroup is the slot of what is no process but the sum over all of a name.
const SlotGroup = "group"

// Event is something that happened to a worker or droplet and that the
// curve alone cannot tell.
type Event struct {
	At   time.Time
	Kind EventKind
	Text string
}

// EventKind names an [Event].
type EventKind string

// The events the detector and its charts know.
const (
	EventRestart EventKind = "restart"
	EventOOMKill EventKind = "oom_kill"
	EventDeploy  EventKind = "deploy"
	EventReboot  EventKind = "reboot"
	EventResize  EventKind = "resize"
)

// TaskRun is one execution of a task in one process, or a count of them.
type TaskRun struct {
	PID        int
	Start      time.Time // of the process; zero or two seconds off is fine
	Task       string
	Begin, End time.Time
	Count      int // executions it stands for, which ended by End; 0: one
	Beside     int // without a Task: how many executions ran beside another in the process
}

// Limit is the line at which memory runs out.
type Limit struct {
	Bytes  float64 // 0: unknown
	Source string  // "memory.max", "configured", "droplet", …
}

// Worker is all that is known of one Celery node over a window.
type Worker struct {
	Name     string
	Droplet  string
	Pool     Pool
	App      string // Celery's -A argument; "" unknown
	Unit     string // systemd unit or supervisor program; "" unknown
	Manager  string // systemd, supervisor, container, none; "" unknown
	Lives    []Life
	Limit    Limit
	High     float64 // MemoryHigh in bytes, 0: none; a plateau there is throttling
	Pressure []Point // share of time stalled on memory, 0..1, where known
	Events   []Event
	Tasks    []TaskRun
	Held     []Point // tasks that the main process holds until their time (ETA, countdown), where known
	Gaps     []Gap   // known holes (agent away); never read as health
}

// Gap is a time in which nothing was measured.
type Gap struct{ From, To time.Time }

// Point is one value at one moment.
type Point struct {
	At time.Time
	V  float64
}

// Droplet is a host's memory over a window, and the growth of what is not a
// Celery worker on it.
type Droplet struct {
	ID        string
	Available []Point // MemAvailable, bytes
	Total     float64 // MemTotal, bytes
	Others    []Other
	Events    []Event
}

// Other is a process group outside Celery, by name.
type Other struct {
	Name   string
	Memory []Point // bytes
}

// Kind is the verdict in one word.
type Kind string

// The four verdicts. See DESIGN: unsure means the data cannot tell.
const (
	Leak       Kind = "leak"
	LeakMasked Kind = "leak_masked"
	Healthy    Kind = "healthy"
	Unsure     Kind = "unsure"
)

// Leaks reports whether the verdict says that memory leaks, seen or masked.
func (k Kind) Leaks() bool { return k == Leak || k == LeakMasked }

// Reason is why the verdict fell as it did, from a closed list.
type Reason string

// The closed list of reasons.
const (
	ReasonLeak          Reason = "leak"
	ReasonLeakingParent Reason = "leaking_parent"
	ReasonRecycled      Reason = "recycled"
	ReasonWarmUp        Reason = "warm_up"
	ReasonStep          Reason = "step"
	ReasonStaircase     Reason = "staircase"
	ReasonLoad          Reason = "load"
	ReasonSeasonal      Reason = "seasonal"
	ReasonNoise         Reason = "noise"
	ReasonBounded       Reason = "bounded"
	ReasonFlat          Reason = "flat"
	ReasonThrottled     Reason = "throttled"
	ReasonThreshold     Reason = "threshold"
	ReasonNoData        Reason = "no_data"
	ReasonTooShort      Reason = "too_short"
	ReasonBelowMaterial Reason = "below_material"
)

// Interval is an estimate with its 90 % interval.
type Interval struct{ Low, Value, High float64 }

// Exhaustion is when memory reaches Limit if it goes on as it does. Latest
// is zero where the lower rate bound never gets there.
type Exhaustion struct {
	Limit                      Limit
	Earliest, Expected, Latest time.Time
}

// Verdict is what the detector says of one worker.
type Verdict struct {
	Kind          Kind
	Reason        Reason
	Confidence    float64     // 0..1, calibrated
	Metric        string      // what was judged: "pss+swap", "rss+swap", "uss+swap", "value"
	Rate          *Interval   // bytes per hour
	Onset         *time.Time  // since when
	MinDetectable *float64    // bytes per hour; smaller growth than this is invisible in these data
	HoursNeeded   *float64    // with Unsure: hours more until the data can tell
	Exhaustion    *Exhaustion // nil where nothing runs out
	Footprint     float64     // last known bytes of the judged metric; 0 with no data
	Evidence      []string    // sentences with the numbers that decided
	Processes     []ProcessVerdict
	Tasks         []TaskVerdict
	Fit           []Point // the fitted line from onset to now, for charts; empty when none
}

// ProcessVerdict is what the detector says of one process.
type ProcessVerdict struct {
	PID    int
	Start  time.Time // zero where unknown
	Role   Role
	Kind   Kind // Leak, Healthy or Unsure
	Reason Reason
	Rate   *Interval
	Onset  *time.Time
}

// TaskKind is the verdict on one task name.
type TaskKind string

// The three verdicts on a task name.
const (
	TaskLeak   TaskKind = "leak"
	TaskClear  TaskKind = "clear"
	TaskUnsure TaskKind = "unsure"
)

// TaskVerdict is what one call of a task leaves behind.
type TaskVerdict struct {
	Task         string
	BytesPerCall Interval
	Kind         TaskKind
	Group        []string // other names the data cannot separate from this one
}

// Share is how much of a droplet's growth one worker or other process
// explains, 0..1.
type Share struct {
	Name  string
	Share Interval
	Rate  float64 // bytes per hour
}

// DropletVerdict is what the detector says of one droplet.
type DropletVerdict struct {
	Kind        Kind
	Reason      Reason
	Confidence  float64   // 0..1, calibrated
	Rate        *Interval // growth of used = total - available, bytes per hour
	Onset       *time.Time
	Exhaustion  *Exhaustion
	Workers     []Share // largest first
	Others      []Share // largest first
	Unexplained float64 // share of the growth that nothing measured explains, 0..1
	Suspect     string  // the likeliest name behind growth that no worker explains; "" for none
	Evidence    []string

	MinDetectable *float64 // bytes per hour; nil with no data
	HoursNeeded   *float64 // with Unsure: hours more until the data can tell
}

// Recovery answers "did memory come back?" after a restart.
type Recovery string

// The three answers of [Recovered].
const (
	DidRecover    Recovery = "recovered"
	DidNotRecover Recovery = "not_recovered"
	TooEarly      Recovery = "too_early"
)

// Comparison answers "did the fix work?".
type Comparison struct {
	Before, After *Interval // bytes per hour; nil where measured too briefly
	Answer        Fix
	Leaks         bool     // after it, whatever was before
	HoursNeeded   *float64 // with FixUnsure, of time after; nil where none would tell, as growth before is not proved
	Evidence      []string
}

// Fix is the answer of a [Comparison].
type Fix string

// The three answers.
const (
	Fixed     Fix = "fixed"
	NotFixed  Fix = "not_fixed"
	FixUnsure Fix = "unsure"
)
