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

// This file is what the package says: the sentences it shows in Slack, and
// below them the functions that put a finding's state in words. A sentence is
// a format where something stands in it. Numbers and their units are in
// quantity.go.

// Advice: sizes, and why one is not given.
const (
	saysNoSizeNothingKnown     = "No size is suggested: neither a limit of the worker nor the droplet's memory is known."
	saysItsLimit               = "its limit of %s (%s)"
	saysNoSizeDropletUnknown   = "No size is suggested: the droplet's memory is not known."
	saysNoSizeNoRoom           = "No size is suggested: %s are left of the droplet for this worker, of which a tenth of the droplet (%s) is the system's, and it holds %s already. Restart it first."
	saysRoomOnDroplet          = "the %s that the droplet has for it, a tenth of the droplet kept free"
	saysRoomShared             = " and the rest shared by the %d workers that leak"
	saysNoRecyclingPoolUnknown = "No `max_*_per_child` is suggested: which pool it runs is not known, and only prefork recycles processes."
	saysNoRecyclingInPool      = "No `max_*_per_child` is suggested: Celery does not recycle anything in pool %s. A restart is what frees its memory."
	saysNoRecyclingParentGrows = "No `max_*_per_child` is suggested: the parent itself grows, recycling its children frees nothing of that, and every new child begins at the parent's size."
	saysNoRecyclingNotMeasured = "No `max_*_per_child` is suggested: the resident size of its parent and of a settled child was not measured."
	saysNoRecyclingTooSmall    = "No `max_*_per_child` is suggested: %s a child is all that fits %d of them into %.0f %% of %s, and an ordinary task needs %s. Fewer processes or more memory come first."
	saysRecycleBySize          = "Recycle a child by its size"
	saysMaxMemory              = "# in KiB\nworker_max_memory_per_child = %.0f"
	saysMaxMemoryWhy           = "%s: %.0f %% of %s, less the %s that %s hold when settled (%s), leave each child %s to grow above its %s%s. Celery compares the highest resident size a child ever had, after each task%s. It hides the leak and mends nothing."
	saysNoMaxTasksNotMeasured  = "No `worker_max_tasks_per_child` is suggested: what a task leaves behind was not measured."
	saysNoMaxTasksTooMuch      = "No `worker_max_tasks_per_child` is suggested: one call of %s may leave %s behind."
	saysRecycleByTasks         = "Recycle a child by its tasks"
	saysMaxTasksWhy            = "A call of %s leaves up to %s behind; were every task that one, %.0f calls take a child from %s to at most %s. Celery obeys whichever of the two comes first."
	saysMisfitOnly             = "This is a misconfiguration, not a leak"
	saysMisfitBesides          = "Besides the leak this is a misconfiguration"
	saysMisfit                 = "%s: %d pool processes settle at %s each and their parent at %s, %s together, and the droplet has %s."
	saysMisfitNoneFits         = "%s Not even one of them fits into 80 %% of that: it takes a larger droplet."
	saysMisfitSomeFit          = " %.0f of them fit into 80 %% of that: start it with `-c %.0f`, or on a larger droplet."
)

// Advice: how it is laid out.
const (
	saysAdvice          = "Advice"
	saysCausesRanked    = "*Where to look, likeliest first*"
	saysCausesUnranked  = "*Where to look*, in no order: nothing measured tells the four apart"
	saysCauseUnmeasured = "Nothing measured speaks for or against it."
	saysCausesInACopy   = "Take these steps in a copy: a droplet made from the snapshot and kept from the broker, since its workers would start to take tasks. There `celery.contrib.rdb` opens pdb in a task, or start one task under ipdb. Dropleak attaches to no process."
)

// Advice: limits of systemd and supervisor.
const (
	saysNoLimitShared    = "No limit of %s is suggested: %d workers live in it, and a limit counts them together."
	saysNoLimitTight     = "No limit is suggested: %.0f %% of %s is hardly more than the %s it needs."
	saysNoLimitInForce   = "No `MemoryHigh` and `MemoryMax` are suggested: they are %s and %s already."
	saysManagerUnknown   = "Which manager starts it is not known; this is for systemd. "
	saysDropIn           = "# systemctl edit %s\n[Service]\nMemoryHigh=%.0fM\n"
	saysDropInWhy        = "%s%.0f %% of %s. Above `MemoryHigh` the kernel reclaims and the worker slows down"
	saysDropInMaxInForce = "; `MemoryMax` is in force already"
	saysDropInMax        = "; at `MemoryMax`, all of it, the kernel kills, tasks are lost, and systemd stops the whole unit (`OOMPolicy=stop`): have `Restart=always` with it"
	saysDropInTitle      = "systemd: hold it back before the droplet suffers"
	saysDropInCounts     = "%s. Both count page cache too, which is reclaimed first, and need cgroup v2."
	saysShareOf          = "%.0f %% of %s"
	saysMemmonShared     = ", and %s more because it sums resident sizes, in which shared pages count once for each process"
	saysMemmonTitle      = "supervisor: restart it above a size"
	saysMemmon           = "[eventlistener:memmon-%s]\ncommand=memmon -c -p %s=%.0fMB\nevents=TICK_60"
	saysMemmonWhy        = "%s. Supervisor has no limits of its own; memmon is of the package superlance. A last resort: it looks once a minute, restarts without asking, and takes no snapshot."
)

// Advice: the four causes, what speaks for each, and the next step.
const (
	saysCauseCaches      = "Unbounded caches and globals"
	saysNextCaches       = "`objgraph.show_growth()` before and after a hundred calls names the type that grows, `guppy.hpy().heap()` what holds it."
	saysCauseCycles      = "Reference cycles"
	saysNextCycles       = "Call `gc.collect()` and look at RSS: if it falls, `gc.set_debug(gc.DEBUG_SAVEALL)` and `objgraph.show_backrefs()` show the cycle."
	saysCauseUnclosed    = "Unclosed resources"
	saysNextUnclosed     = "Compare `ls -l /proc/PID/fd` before and after a hundred calls, and run with `python -X dev`, which warns where something was not closed."
	saysCauseThirdParty  = "Third-party libraries and the allocator"
	saysNextThirdParty   = "Call `ctypes.CDLL('libc.so.6').malloc_trim(0)`, or start with `MALLOC_ARENA_MAX=2`: if memory falls, the allocator kept it. If not, `mprof run` and memory_profiler around the library's calls."
	saysOneTaskOfSome    = "Only %s leaks, %s a call, and %s not: look at what that task stores."
	saysOtherTask        = "other task"
	saysOneTask          = "%s leaks %s a call: look at what that task stores."
	saysAllTasks         = "All %d tasks that could be told leak: look at what they share."
	saysDoes             = " does"
	saysDo               = " do"
	saysParentGrows      = "The parent grows, which runs no tasks: look at modules loaded before the fork, signal handlers and result or event bookkeeping."
	saysAllChildrenGrow  = "All %d pool processes grow and no task stands out: something they all use."
	saysSomeChildrenGrow = "%d of %d pool processes grow: not all of them run what leaks."
	saysGaveBack         = "A process gave memory back %d times without a restart, as the cycle collector does."
	saysNeverGaveBack    = "No process ever gave memory back, as the cycle collector would."
	saysManyDescriptors  = "Process %d (%s) had %d descriptors open, %d files and %d sockets among them."
	saysFewDescriptors   = "No process had more than %d descriptors open."
)

// Advice: what the sizes were measured by.
const (
	saysPSSAndSwap        = "PSS and swap"
	saysResident          = "resident, which counts shared pages once for each"
	saysParentAndChild    = "the parent and its child"
	saysParentAndChildren = "the parent and its %d children"
	saysSeenLate          = " (as first seen; its beginning was not)"
	saysPeaksMissed       = "; a peak between two readings, %s apart, is not in these numbers"
)

// The report: what changed, what is watched, what is closest.
const (
	saysKeptUnlisted      = " · snapshots kept: could not be listed"
	saysKept              = " · %s kept, %.0f GB, $%.2f a month"
	saysMoreInReport      = "and %d more: `/leaks report all`"
	saysLastDay           = "*In the last day*\n"
	saysSinceLast         = "*Since the last report, %s*\n"
	saysNoNews            = "Nothing was found or settled since the last report, %s."
	saysSeen              = "%s watched · %s%s"
	saysSeenAudit         = " · audit %s"
	saysMoreOfIncident    = "one incident: %s more with it"
	saysNotScanned        = "The fleet has not been scanned yet"
	saysLeaking           = "%d leaking"
	saysNoneKnownToLeak   = "none known to leak"
	saysTooEarlyCount     = "%d too early to tell"
	saysNoneLeaking       = "none leaking"
	saysNotSeenCount      = "%d not seen"
	saysNoneSeen          = "No worker is seen"
	saysNoWorkerSeen      = "No worker is seen. Is an agent running on a droplet?"
	saysTooEarly          = "It is too early to tell whether %d of %s leak."
	saysNothingGrows      = ":white_check_mark: Nothing grows towards its limit."
	saysClosest           = ":white_check_mark: Closest to its limit: %s on %s, %s."
	saysWorkerOn          = "%s on %s %s"
	saysHoursMore         = "About %.0f h more would tell."
	saysRunsOutAt         = "; memory runs out %s"
	saysLabelOfferRestart = "Offer a restart"
	saysDropletHas        = "%s has %s"
	saysWorkerHolds       = "%s holds %s, %s"
	saysThenRunsOutAt     = ", memory runs out %s"
)

// A finding's message, and the evidence about it.
const (
	saysHeldBefore      = "Before the restart: %s."
	saysWasFalseAlarm   = "was called a false alarm"
	saysNotWatched      = "is no longer watched"
	saysAltStory        = "Memory of %s over time. It %s"
	saysAltBefore       = "Memory of %s over time, before the restart"
	saysBeforeRestart   = "Before the restart"
	saysAsOf            = "As of %s"
	saysNoMetricsSince  = "No memory from DigitalOcean since %s; is its metrics agent running?"
	saysNoWorkerSince   = "This worker was there and has not been seen since %s, while its agent still reports."
	saysNoAgentSince    = "The agent has not reported since %s; nothing is known of its workers."
	saysNoSourceSince   = "Nothing from the source %s since %s; `dropleak sources` says how it stands."
	saysNoSourceFrom    = "Nothing came from the source %s from %s to %s."
	saysOutageSince     = "Nothing from the source %s since %s%s: *%s.* %s%s"
	saysOutageRemoved   = "The source %s was removed: it is no longer in the configuration, or its token was revoked. Nobody else tells of what it told of until %s: *%s.* Have another source or an agent tell of them; if this is meant, call it a false alarm."
	saysOutageNever     = "The source %s has not answered once since %s: nobody knows what it would tell of. See that its address and its access are right; `dropleak sources` says how it stands.%s"
	saysOutageTrouble   = " In place of an answer came: %s."
	saysOutageAnswers   = ", though it answers"
	saysMendAsked       = "See that it runs and can be reached from where dropleak runs; `dropleak sources` says how it stands."
	saysMendAnswers     = "See that it still measures them; `dropleak sources` says how it stands."
	saysMendSender      = "See that whoever sends it runs, and that the token is good; `dropleak token list` says when it was last used."
	saysMendCloud       = "See that DigitalOcean's API answers, and takes the token that reads."
	saysNoMetricsFrom   = "No memory came from DigitalOcean from %s to %s."
	saysNoWorkerFrom    = "This worker was not seen from %s to %s, while its agent reported."
	saysNoAgentFrom     = "The agent did not report from %s to %s."
	saysMissingSince    = "%s of this droplet %s not been seen since %s: %s%s. %s"
	saysMissingNoMemory = ", nor its memory"
	saysMissingMemory   = "The workers of this droplet are seen again; its memory is not, since %s. %s"
	saysMissingFrom     = "%s of this droplet went unseen from %s to %s."
	saysMissingWho      = "Workers"
	saysMissingNoNames  = "%s of this droplet have not been seen since %s; the next scan says which."
	saysMissingAgain    = " All are seen again; this closes when that has lasted."
	saysMissingBack     = ": its workers are heard of again"
	saysMissingUnseen   = ": its memory is not seen any more"
	saysMissingWorkers  = ": %s not seen any more"
	saysMissingOff      = " is off: %s not seen any more"
	saysOfAll           = "%d of %s"
	saysMore            = "%d more"
	saysMendOff         = "*DigitalOcean says that the droplet is off.*"
	saysMendAgentsOwn   = "The agent goes on: see what ended them there."
	saysMendReach       = "The source %s goes on: see that the droplet runs and is reached."
	saysMendMemory      = "Is its metrics agent running?"
	saysHeardAgain      = " It is heard of again; this closes when that has lasted."
	saysLabelDetails    = "Details"
	saysLabelUnmute     = "Unmute"
	saysLabelNotNow     = "Not now"
	saysLeakingTask     = "; the task that leaks is %s"
	saysFieldHolds      = "*Holds*\n%s"
	saysFieldGrows      = "*Grows*\n%s"
	saysFieldSince      = "*Since*\n%s"
	saysFieldRunsOut    = "*Runs out*\n%s, at %s (%s)"
	saysFieldShare      = "*Share of growth*\n%s of the droplet's"
	saysFieldOOMKills   = "*OOM kills since*\n%s"
	saysFieldSure       = "*How sure*\n%s (%s)"
	saysProcess         = "%s pid %d"
	saysOfProcesses     = "%d of %d processes"
	saysTaskACall       = "%s (%s a call)"
	saysAlt             = "Memory of %s over time. It holds %s"
	saysAltGrows        = " and grows %s"
	saysAltReaches      = "; it reaches %s %s"
	saysWhyPart         = "*Why*\n%s"
	saysProcessesPart   = "*Processes*\n%s"
	saysTaskLine        = "%s %s %s a call (%s to %s)"
	saysTasksPart       = "*Tasks*\n%s"
	saysDropletPart     = "*Droplet*\n%s"
	saysCouldNotSee     = "Growth below %s could not be seen in these data."
	saysProcessLine     = "%s pid %d %s"
	saysProcessLeaks    = "%s pid %d leaks"
	saysNothingRecorded = "• nothing was recorded"
)

// Lists of workers and of findings.
const (
	saysMoreWorkers  = "and %s: `/leaks worker NAME`"
	saysMoreWorker   = "more worker"
	saysOn           = "%s on %s"
	saysOutOfMemory  = "%s, *out of memory %s*"
	saysEntryNumbers = "\n%s, holds %s, %s"
)

// The message of an incident.
const (
	saysMoreMembers   = "and %d more: %s"
	saysAnIncident    = "An incident"
	saysOnDroplet     = " on %s"
	saysOfApp         = " of %s"
	saysAllClosed     = "%s: all findings are closed"
	saysFirstRunsOut  = "%s leaks: the first runs out of memory %s"
	saysLeaks         = "%s leaks"
	saysNoticeLeft    = ": out of memory in %s"
	saysNoticeLeaks   = " leaks"
	saysBegunAt       = "since %s"
	saysBegunBetween  = "between %s and %s"
	saysOneIncident   = "%s *One incident*: %s began to grow %s. One cause is likely: what was deployed or changed then?"
	saysStillOpen     = "\n%d of %d are still open."
	saysAsItWas       = "As it was before"
	saysAltAsItWas    = "Memory of %s over time, as it was before"
	saysAltHeld       = ": it held %s and grew %s"
	saysMemberRunsOut = "%s %s runs out of memory %s"
	saysHolds         = "holds %s"
	saysOOMKill       = "OOM kill"
	saysAndMore       = " and %d more"
)

// A chart's subtitle.
const (
	saysMetricPerWorker = "%s per worker"
	saysForTime         = " for %s"
	saysLeaksAt         = "leaks %s%s"
	saysOthersDoNot     = "the other workers do not leak"
	saysSeveralLeak     = "%d workers of this droplet leak"
	saysWithSwap        = "%s + swap"
)

// The report's table of findings.
const (
	saysTableTitle   = "The worst first: %s"
	saysColumnWhat   = "What"
	saysColumnLeft   = "Time left"
	saysColumnMemory = "Memory"
	saysColumnDecide = "Decide"
	saysRowIncident  = " and %d more, one incident"
	saysNotKnown     = "not known"
	saysInItsMessage = "in its message"
	saysLabelDecide  = "Decide …"
	saysLabelOpen    = "Open"
	saysInHand       = "a run is working on it"
	saysLineIncident = ", one incident with %d more"
	saysMoreFindings = "and %d more: `/leaks report TAG` or `/leaks droplet NAME`"
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
	case finding.KindSilent, finding.KindNoMetrics:
		return title + " " + silence(f)
	case finding.KindSource:
		return title + " " + outage(f)
	case finding.KindMissing:
		return title + gone(f)
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

// silence says after its name how something stands that was not heard of.
func silence(f finding.Finding) string {
	metrics, back := f.Subject.Kind == finding.KindNoMetrics, !f.Heard.IsZero()
	switch {
	case metrics && back:
		return "sends memory metrics again"
	case metrics:
		return "sends no memory metrics"
	case back:
		return "is heard of again"
	case f.Subject.Worker == "":
		return "has gone silent"
	}
	return "is not seen any more"
}

// outage says after its name how a source stands that is silent as a whole.
func outage(f finding.Finding) string {
	o := f.Outage
	switch {
	case o == nil || !f.Heard.IsZero():
		return "is heard of again"
	case o.Removed:
		return "was removed: " + unwatched(*o)
	case o.Never:
		return "has never answered"
	case o.Sends:
		return "has gone silent: " + unwatched(*o)
	case o.Answers:
		return "tells nothing new: " + unwatched(*o)
	}
	return "does not answer: " + unwatched(*o)
}

// unwatched says what nobody else tells of.
func unwatched(o finding.Outage) string {
	switch o.Workers {
	case 0:
		return fmt.Sprintf("memory of %s is not watched", count(o.Droplets, "droplet"))
	case 1:
		return "1 worker on 1 droplet is not watched"
	}
	return fmt.Sprintf("%s on %s are not watched", count(o.Workers, "worker"), count(o.Droplets, "droplet"))
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
	s.Worker, s.DropletName, s.Source = Plain(s.Worker, briefWorker), Plain(s.DropletName, briefDroplet), Plain(s.Source, briefWorker)
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
	if f.Subject.Kind == finding.KindRequest {
		return "" // its run says who asked, and how it ended
	}
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
