package chat

// This file is what the package says: every sentence, label and question it
// shows in Slack, by the file that shows it. A sentence is a format where
// something stands in it. What a finding is in words stands in the report's
// file of the same name; how a run ended and why none is offered, in
// bot/remedy.

// Advice below a finding.
const (
	saysAdviceComing     = "Advice is being worked out."
	saysAdviceUnreadable = "Advice could not be worked out: its samples could not be read."
	saysAdviceNoWorker   = "No advice: that worker is not seen any more."
)

// After a run: what it did, its snapshot, and how that is restored.
const (
	saysNotKnownYet       = "not known yet"
	saysNotKnownUntil     = "that it stopped is not known before %s"
	saysNoneSeen          = "none seen"
	saysWouldShow         = "; %s would have shown"
	saysStays             = ":white_check_mark: %s after the restart, growth of the new life: %s."
	saysGrewBefore        = " Before: %s."
	saysFieldGrowth       = "*Growth*\n%s → %s"
	saysAliveWorking      = "*Worker*\nalive and working"
	saysAliveIdle         = "*Worker*\nalive; did nothing while watched"
	saysAliveUnmeasured   = "*Worker*\nalive; whether it works is not measured"
	saysGrowsAgain        = ":repeat: It grows again"
	saysRestartHelped     = ", seen %s. The restart helped for %s."
	saysWouldRunOut       = " Memory would run out %s."
	saysShelfExpires      = "%s a month until it expires"
	saysShelfBeingDeleted = "being deleted%s"
	saysShelfRefused      = "DigitalOcean refuses to delete it: look in the control panel"
	saysShelfKept         = "%s a month, kept until somebody deletes it%s"
	saysShelfSnapshot     = "Snapshot %s, %.1f GB: %s."
	saysLabelRestore      = "How to restore"
	saysLabelKeep         = "Keep snapshot"
	saysLabelDelete       = "Delete snapshot"
	saysAskDelete         = "Delete the snapshot?"
	saysYesDelete         = "Delete it"
	saysLabelBack         = "Back"
	saysDeleteLoses       = "The disk of %s as it was %s cannot be had back afterwards."
	saysByWhom            = ", by %s"
	saysSnapshotGone      = "That snapshot is not there any more."
	saysSlackGaveUp       = "Slack gave up waiting; please press the button again."
	saysRestoreHolds      = "%s holds the disk of %s as it was %s. It holds neither memory nor attached volumes."
	saysRestoreLoses      = "*What would be lost*\nEverything written to that disk since, %s by now."
	saysRestoreStarts     = "*What would start*\nThe droplet boots, and its production workers begin to take tasks at once, %s among them. In a second droplet they would run beside those that run now, with the same names and schedules; dropleak's agent falls silent there."
	saysRestoreDo         = "*In place of the droplet's disk*\n```doctl compute droplet-action rebuild %d --image %s --wait```"
	saysRestoreNever      = "Dropleak never does this by itself."
	saysLabelClose        = "Close"
	saysNoSnapshots       = "No snapshot stands that dropleak made."
	saysSnapshotNewest    = "stays while it is among the newest"
	saysSnapshotGoes      = "goes %s at the latest"
	saysSnapshotLine      = "• %s %s of %s, %.1f GB, %s a month; %s"
	saysAndMore           = "and %d more"
	saysSnapshotsCost     = "\n*%s a month* for all of them"
)

// The card before the click: what a restart would mean.
const (
	saysCardSnapshotOnly    = "*Snapshot only* %s\n*Newest snapshot* %s\nNothing is restarted."
	saysCardPurpose         = "*Why* %s\n%s"
	saysCardTooLate         = ":rotating_light: *Memory runs out before a snapshot can finish.* Those who may can restart without one."
	saysCardRestarts        = "*Restarts* %s"
	saysCardTasks           = "*Running tasks* %s"
	saysStopsUnknown        = "are stopped as their manager stops them; how long it waits is not known"
	saysCardTasksNow        = "*Tasks now* %s"
	saysCardSnapshotFirst   = "*Snapshot first* %s"
	saysCardNewest          = "*Newest snapshot* %s"
	saysCardQueue           = "*Would wait in line* %s"
	saysWholeDroplet        = "the whole droplet, with everything on it"
	saysThrough             = "%s through %s"
	saysWithWorkers         = ", with %d workers in it: %s"
	saysOfApp               = " of app %s"
	saysPoolProcesses       = "%d pool processes"
	saysWithBeat            = "*with its beat*: no schedule runs meanwhile"
	saysTasksCutOff         = "are cut off"
	saysTasksGetTime        = "get %s to finish, then are killed"
	saysTasksMayFinish      = "may finish; the manager waits for ever%s"
	saysKillsGroup          = ". The stop signal goes to pool processes too (`KillMode=control-group`), so tasks may be cut off at once"
	saysKillsMainSystemd    = ". Only the main process is killed (`KillMode=process`): pool processes may stay behind"
	saysKillsMainSupervisor = ". Only the main process is killed (`killasgroup=false`): pool processes may stay behind"
	saysKillsNothing        = ". Nothing is killed (`KillMode=none`): processes may stay behind"
	saysTakesUnknown        = "of the droplet; it holds the disk, not the memory. How long it takes is not known"
	saysTakesAbout          = "of the droplet, about %s"
	saysTookLastTimes       = " as the last %d of it took"
	saysTookLastTime        = " as the last one of it took"
	saysTakesRule           = " by rule of thumb"
	saysHoldsDisk           = "; it holds the disk, not the memory"
	saysCostsAbout          = ". About %.0f GB, %s a month while it is kept"
	saysCostsUnknown        = "%s. Its size and price are not known"
	saysNoneThere           = "there is none"
	saysNotKnown            = "not known"
	saysRestartedBefore     = "*Restarted before*"
	saysCardFreed           = ", %s freed"
	saysHelpedSoFar         = "; has helped for %s so far"
	saysHelped              = "; helped for %s"
	saysDidNotHelp          = "; did not help"
	saysQuestionEnds        = "This question ends %s."
	saysApprovals           = "%d of %d approvals. "
	saysAskedBy             = "Asked by %s. %s"
)

// What a click finds gone.
const (
	saysFindingUnknown = "That finding is not known here any more."
)

// When to be quiet, when to restart, and reminders.
const (
	saysAskWindow       = "In the quiet window?"
	saysYesWindow       = "Approve for then"
	saysWindowOpens     = "Not before %s, and only while the window lasts. %s"
	saysAt              = "At %s"
	saysWaitsFor        = ":calendar: Waits for %s. Until the restart order is sent it can be cancelled."
	saysRunsOutBefore   = ":rotating_light: *Memory runs out before this run begins*, at about %s. Cancel it, and ask for a restart now."
	saysQuietUntil      = "Nothing is said about %s until then, and nothing is restarted."
	saysForecastRunsOut = " Memory is forecast to run out %s."
	saysLabelNotNow     = "Not now"
	saysYesQuiet        = "Be quiet"
	saysLabelUntil      = "Until"
	saysTimePassed      = "That time has passed, so nothing was done. Choose one to come."
	saysHalfGone        = "Half of the time is gone"
	saysQuarterLeft     = "A quarter of the time is left"
	saysHardlyLeft      = "Hardly any time is left"
	saysReminder        = ":bell: Nobody has decided about %s. %s: memory runs out %s."
)

// Clicks that come too late, and leaving out the snapshot.
const (
	saysButtonOld     = "That button is from another version of dropleak; nothing was done."
	saysItWas         = " It was %s."
	saysTooLateToSkip = "It is too late to skip the snapshot."
	saysHintReason    = "In your words"
	saysSkipMeans     = ":warning: %s would be restarted *without a snapshot*: there is no way back to the disk as it is now. This is written into the audit log."
	saysLabelWhy      = "Why?"
	saysAskSkip       = "Skip the snapshot"
	saysYesSkip       = "Restart now"
)

// The commands: what each does, an example, and more about it.
const (
	saysNotScannedYet    = "The fleet has not been scanned yet; try again in a minute."
	saysHelpReport       = "the report, now"
	saysExampleReport    = "/leaks report web-1"
	saysMoreReport       = "Without a name it is about the whole fleet: the worst first, what changed in the last day, and what nobody can see just now. `all` folds nothing."
	saysHelpWorker       = "how one worker stands"
	saysExampleWorker    = "/leaks worker mail"
	saysMoreWorker       = "It is judged on the samples of this moment, leaking or not."
	saysHelpDroplet      = "how a droplet and its workers stand"
	saysExampleDroplet   = "/leaks droplet web-1"
	saysMoreDroplet      = "Its memory, and each worker on it with what it holds and the time that is left."
	saysHelpWhy          = "the evidence about a worker"
	saysExampleWhy       = "/leaks why mail"
	saysMoreWhy          = "What it was seen to do, process by process and task by task, and what may be done about it."
	saysHelpRestart      = "offer a restart; somebody who may approves it"
	saysExampleRestart   = "/leaks restart mail"
	saysMoreRestart      = "Nothing is restarted by this: the offer stands in the channel with what it would mean, and an approver decides."
	saysHelpSnapshot     = "ask for a snapshot, before profiling or a deploy"
	saysExampleSnapshot  = "/leaks snapshot mail before profiling"
	saysMoreSnapshot     = "It is of the whole droplet that the worker runs on; it is approved as a restart is, and expires as others do."
	saysHelpMute         = "be quiet about a worker"
	saysExampleMute      = "/leaks mute mail 24h"
	saysMoreMute         = "For a time such as `90m`, `24h` or `7d`, or until it gets worse. A question that stands about it is answered \"not now\"."
	saysHelpUnmute       = "speak about it again"
	saysExampleUnmute    = "/leaks unmute mail"
	saysMoreUnmute       = "Every full member may."
	saysHelpHistory      = "what was found in the last 30 days"
	saysExampleHistory   = "/leaks history mail"
	saysMoreHistory      = "With a name, about workers that begin with it."
	saysHelpRuns         = "the latest runs"
	saysExampleRuns      = "/leaks runs"
	saysMoreRuns         = "A run is one question with all that follows from it: approval, snapshot, restart, verification."
	saysHelpSnapshots    = "the snapshots that dropleak made and that stand"
	saysExampleSnapshots = "/leaks snapshots"
	saysMoreSnapshots    = "With the size and price of each, and when it goes."
	saysHelpHelp         = "this, or more about one of these"
	saysExampleHelp      = "/leaks help mute"
	saysMoreHelp         = "A topic is a command, or one of `names`, `approvals` and `verdicts`."
	saysUnknownCommand   = "dropleak does not know %s. Did you mean one of these?"
	saysWhichOfThese     = "%s may be any of these. Which one?"
	saysHelpSays         = "`/leaks help` says what each of them does."
	saysWorkerNotSeen    = "That worker is not seen any more."
	saysRequestOver      = "nothing was wrong: it stood for a run that somebody asked for"
	saysRestartOffered   = "A restart of %s is offered in <#%s>. Somebody who may has to approve it."
)

// What happens to tasks on hand.
const (
	saysTasksNoProbe      = "not known: the probe is not in this application"
	saysTasksUnread       = "not known: that could not be read just now. %s"
	saysTasksSilent       = "not known: the probe has not told for a while; the worker may be too busy to. %s"
	saysTasksTold         = "%s (told %s). "
	saysTasksUnknown      = "Of %s it is not known. "
	saysTasksOnHand       = "%s, %d reserved, %d held for their ETA"
	saysTaskRuns          = "task runs"
	saysTasksRun          = "tasks run"
	saysTasksBefore       = "%s, %s before this was asked"
	saysBrokerGivesAgain  = " The broker gives out again what is reserved or held."
	saysNoneCutOffHeld    = "None is cut off.%s"
	saysNoneWouldBeCutOff = "None would be cut off now.%s"
	saysIfCutOff          = "If cut off, %s.%s"
	saysMayRunTwiceOne    = "of the running may run twice: it acknowledges late"
	saysMayRunTwice       = "of the running may run twice: they acknowledge late"
	saysIsLost            = "of the running is lost: it does not acknowledge late"
	saysAreLost           = "of the running are lost: they do not acknowledge late"
	saysCutOffMixed       = "If cut off, %s late and may run twice, and %s lost."
	saysAcknowledges      = "of the running acknowledges"
	saysAcknowledge       = "of the running acknowledge"
	saysNoneCutOff        = "None is cut off."
	saysCutOffUnknown     = "What is cut off runs a second time if it is acknowledged late (`acks_late`), and is lost if not."
	saysAtLastLook        = " At the last look: %s"
	saysRunningLate       = "; %d of the running %s late"
)

// What the probe saw in a worker's heap.
const (
	saysHeapObjects     = "Objects"
	saysHeapContainers  = "Members of the containers that grew most"
	saysHeapCycles      = "Objects that only refer to each other, which the collector does not collect"
	saysHeapDescriptors = "Descriptors"
	saysHeapPlain       = "Bytes in plain values"
	saysHeapTracemalloc = "Bytes by line that took them (tracemalloc)"
	saysHeapGuppy       = "Bytes by type (guppy)"
	saysHeapReferrers   = "Who refers to whom"
	saysHeapAllocator   = "The allocator"
	saysHeapInside      = "\n*Inside pid %d*"
	saysHeapNotLooked   = "%s: not looked at, for %s."
	saysHeapMost        = ", what there was most of; what grew was not seen, for it was not looked at before"
	saysHeapGrewSince   = ", what grew since %s"
	saysHeapCutShort    = " (how many there are; the look before was cut short and did not count them)"
	saysHeapLineSince   = " (since %s)"
)

// Help and its topics.
const (
	saysTopicNames         = "how to name a worker or a droplet"
	saysTopicNamesMore     = "A name may be cut short as long as one alone begins so: `/leaks worker ma` for `mail`. `mail@web-1` is mail on that droplet. Where several are meant, or none, choices to click are the answer, and the click carries on with what you asked."
	saysTopicApprovals     = "who decides, and what is checked"
	saysTopicApprovalsMore = "Anybody may ask; those under `approvals.approvers` in the configuration decide. An approval is for the worker as it was shown: when its main process is another by then, nothing is restarted. A snapshot of the droplet is complete before the restart, unless somebody who may says why not. Everything a button does, `dropleak approve` does on the command line."
	saysTopicVerdicts      = "what \"leaks\" and \"not sure\" mean"
	saysTopicVerdictsMore  = "*Leaks*: memory grows without bound. *Hidden by recycling*: each process grows and is replaced before it shows. *Not sure*: the data cannot tell; `/leaks worker NAME` says how much longer to watch. What stepped up, warms up, or follows its load or the time of day does not leak."
	saysHelpTitle          = "How to talk to dropleak"
	saysLabelAbout         = "About %s"
	saysHelpTitleTopic     = "How to use /leaks %s"
	saysHelpCommand        = "`%s` – %s\n%s\nFor example `%s`"
	saysNoHelpAbout        = "There is no help about %s. There is about these:"
	saysHelpTopicLine      = "`/leaks help %s` – %s"
	saysHelpMore           = "*More*\n%s"
)

// App Home.
const (
	saysHomeSources     = "*Where samples come from*"
	saysHomeFoot        = "As of %s. Reports stand in <#%s>; `/leaks help` says what can be asked."
	saysHomeForYou      = "%s for you"
	saysApprovalWaits   = "approval waits"
	saysApprovalsWait   = "approvals wait"
	saysNotScanned      = "the fleet has not been scanned yet"
	saysHomeNoneLeaking = "%s, none leaking"
	saysHomeLeaking     = "%s, %d leaking"
	saysHomeWaiting     = "Waiting for an approval"
	saysHomeQuestion    = ":raised_hand: *%s*\nRestarts %s.\nThis question ends %s."
	saysForApprovers    = " It is for the approvers."
	saysInChannel       = "in <#%s>"
	saysHomeRuns        = "Runs in flight"
	saysHomeRun         = "*%s*, approved by %s\n%s"
	saysShowRuns        = "`/leaks runs`"
	saysStepOf          = " (step %d of %d)"
	saysHomeFindings    = "Open findings"
	saysShowReport      = "`/leaks report`"
	saysHomeWorkers     = "All workers, on %s"
	saysHomeSnapshots   = "%s, %.0f GB, %s a month"
	saysShowSnapshots   = "`/leaks snapshots`"
	saysHomeSnapshot    = "%s of %s, %.1f GB, %s a month"
	saysBeingDeleted    = "%s, being deleted"
	saysKeptBy          = "%s, kept by %s"
	saysUntilDate       = "%s, until %s"
	saysHomeMore        = "and %s: %s"
	saysMoreNoun        = "more %s"
)

// App Home: rolling restarts.
const (
	saysRollingRestart  = "rolling restart"
	saysRollingRestarts = "rolling restarts"
)

// What cannot be answered.
const (
	saysDidNotWork  = ":warning: That did not work, and nothing more is tried. The service's log has the reason."
	saysOnlyPeople  = "Only people of this workspace can talk to dropleak."
	saysOnlyMembers = "Only full members of this workspace can talk to dropleak."
)

// The thread of an incident.
const (
	saysPartOfIncident    = ":link: *%s* is part of an incident now, with its own message in this channel."
	saysLabelOfferRollout = "Offer a rolling restart"
	saysMemberAlone       = "*%s* alone:"
	saysRolloutApprovedBy = "Rolling restart approved by %s."
)

// Leases: one approval for several restarts.
const (
	saysLeaseStands        = ":hourglass: *Kept alive until %s*, granted by %s: restarted when less than %s is left, %d of %d restarts used."
	saysLeaseSnapshotFirst = " The one snapshot is made before the first."
	saysLeaseSnapshot      = " The snapshot %s counts for all of them."
	saysLeaseRevoking      = "Being revoked by %s."
	saysLabelRevoke        = "Revoke the lease"
	saysLeaseUsed          = " %d of its %d restarts were used."
	saysLeaseTimeCame      = ":hourglass: The lease is over: its time has come.%s"
	saysLeaseUsedUp        = ":warning: *The lease is used up.* Nobody keeps the worker alive now.%s"
	saysLeaseBy            = " by %s"
	saysLeaseRevoked       = ":hourglass: The lease was revoked%s.%s"
	saysLeaseEnded         = ":red_circle: *The lease has ended: %s.* Nobody keeps the worker alive now.%s"
	saysLeaseUnclear       = "it is not known how its last restart went"
	saysLeaseMeans         = "One approval for several restarts of %s: by itself, when too little time is left. One snapshot is made before the first, which begins as much earlier as it takes; it counts for all of them. The first restart that does not end well ends the lease, and so may you."
	saysAskLease           = "Keep it alive"
	saysYesGrant           = "Grant"
	saysLabelLeaseBelow    = "Restart when less is left than"
	saysHintLeaseBelow     = "As in 30m or 1h30m"
	saysLabelLeaseTimes    = "At most so many times"
	saysLeaseHowMuch       = "How much time? As in `30m` or `1h30m`. Nothing was granted."
	saysLeaseHowMany       = "How many times is a number. Nothing was granted."
	saysLeaseUntilWhen     = "Until when? Nothing was granted."
)

// Answers that list droplets, findings and runs.
const (
	saysWhichDroplet       = "%d droplets begin with %s. Which one?"
	saysNameDroplet        = "Which droplet? For example `/leaks droplet web-1`."
	saysNoDropletBegins    = "No droplet begins with %s. These are there:"
	saysNoDropletWatched   = "No droplet is watched yet: does one carry the tag?"
	saysNothingFoundAbout  = "Nothing was found in the last 30 days about a worker that begins with %s."
	saysNothingFound       = "Nothing was found in the last 30 days."
	saysListed             = "• %s %s – %s"
	saysNoRun              = "No run yet."
	saysWaitingForApproval = "waiting for an approval"
	saysUnderWay           = "under way: %s"
)

// Muting.
const (
	saysMuteHowLong     = "How long? %s is no time such as `24h`, `90m` or `until-worse`."
	typedUntilWorse     = " until worse" // as people type it
	typedUntilItIs      = " until it gets worse"
	saysMuteNoSpan      = "How long shall %s be muted?"
	saysNotMuted        = "Nothing about %s is muted."
	saysMuted           = "Done: mute %s."
	saysNothingToUnmute = "There is no open finding about %s."
	saysUnmuted         = "Done: unmute %s."
)

// Choices where a name fits several, or none.
const (
	saysMoreChoices      = "and %d more: say more of the name. "
	saysWhichWorker      = "%d workers begin with %s. Which one?"
	saysNameWorker       = "Which worker? For example %s."
	saysNoWorkerBegins   = "No worker begins with %s. These are there:"
	saysNoWorkerSeen     = "No worker is seen yet. Is an agent running on a droplet?"
	saysOn               = "%s on %s"
	saysMoreWorkersNamed = "and %d more: say more of the name, or `NAME@DROPLET`."
	saysWhichTag         = "%s may be any of these tags and droplets. Which one?"
	saysNoTagChoices     = "No droplet carries the tag, the name or the id %s. These are there:"
)

// Rehearsals.
const (
	saysRehearsal = ":performing_arts: *REHEARSAL* – nothing is carried out"
)

// The report on a schedule and by command.
const (
	saysNoTag         = "No droplet carries the tag, the name or the id %s."
	saysNewFinding    = "%s: new"
	saysMoreInHistory = "and %d more: /leaks history"
)

// The dialog behind a row of the report.
const (
	saysMoreInMessage = "All else that can be done stands in its message in <#%s>."
	saysAskDecide     = "Decide"
)

// Rolling restarts.
const (
	saysRolloutTitle         = "Rolling restart: %s"
	saysAskRollout           = "Approve a rolling restart?"
	saysRolloutUnderWay      = "A rolling restart is under way"
	saysRolloutProgress      = "– %d of %d restarted"
	saysKeepsTrying          = ":warning: It keeps being tried: %s"
	saysRolloutCard          = "*Rolling restart* of %s, one droplet at a time: %s. Each after a snapshot of its droplet is complete, each verified before the next begins. *It halts at the first that does not come back well.* It can be cancelled at any time."
	saysRolloutWholeDroplets = "\n:warning: Some of them mean a restart of the whole droplet."
	saysRolloutLeftOut       = "\n*Left out, %d*\n%s"
	saysRolloutApproved      = "*Rolling restart* approved by %s: %d of %d restarted"
	saysRolloutNow           = ", now %s"
	saysRolloutPassedOver    = ", %d passed over"
	saysRolloutCancelled     = "%s. *Cancelled by %s*; the one under way goes on only if its order was sent."
	saysRolloutToCome        = ", %d to come"
	saysRolloutOutcome       = "%s *Rolling restart: %s*"
	saysRolloutWhy           = ", said %s"
	saysRolloutSums          = "\n%d of %d restarted"
	saysRolloutPassed        = ", %d passed over"
	saysRolloutLeft          = ", %d not touched"
	saysMemberLeftOut        = ":fast_forward: left out: %s"
	saysMemberPassedOver     = ":fast_forward: passed over: %s"
	saysMemberNotTouched     = ":white_circle: not touched"
	saysMemberToCome         = ":white_circle: to come"
	saysLabelRollout         = "Restart all, one at a time"
	saysConfirmRollout       = "Rolling restart?"
	saysYesRollout           = "Restart one at a time"
	saysRolloutMeans         = "%s restarted, one at a time, each after a snapshot of its droplet. It halts at the first that does not come back well."
	saysWorkerIs             = "worker is"
	saysWorkersAre           = "workers are"
	saysLabelRollFalse       = "False alarm, all of them"
	saysLabelRollCancel      = "Cancel the rolling restart"
)

// A run below its finding, its buttons, and its log in the thread.
const (
	saysRunTitle          = "Run: %s"
	saysAskSnapshot       = "Approve a snapshot?"
	saysAskRestart        = "Approve a restart?"
	saysSnapshotUnderWay  = "A snapshot is under way"
	saysRestartUnderWay   = "A restart is under way"
	saysRunApproved       = "*Approved by %s*\n%s"
	saysRunAnswered       = "*Answered by %s.*"
	saysInLine            = "In line behind %s."
	saysOneOtherRun       = "one other run"
	saysOtherRuns         = "%d other runs"
	saysLeaseOf           = "the lease of %s"
	saysStepOfAbout       = " – %s of about %s"
	saysStepSince         = " – since %s"
	saysFieldMemory       = "*Memory*\n%s → %s"
	saysFieldFreed        = "*Freed*\n%s"
	saysFieldMain         = "*Main process*\npid %d → %d"
	saysFieldPool         = "*Pool*\n%d processes, had %d"
	saysFieldTook         = "*Took*\n%s"
	saysFieldApproved     = "*Approved by*\n%s"
	saysLabelSnapshot     = "Take the snapshot"
	saysLabelRestart      = "Snapshot & restart"
	saysLabelUntilWorse   = "Not until it gets worse"
	saysLabelNotUntil     = "Not until …"
	saysLabelFalseAlarm   = "False alarm"
	saysLabelLease        = "Keep it alive until …"
	saysLabelCancel       = "Cancel"
	saysLabelSkip         = "Restart, skip snapshot"
	saysLabelDetails      = "Details"
	saysLabelUnmute       = "Unmute"
	saysLabelOfferRestart = "Offer a restart"
	saysConfirmRestart    = "Snapshot, then restart?"
	saysRestartMeans      = "%s is restarted after a snapshot of %s is complete. Running tasks %s."
	saysStopsAsManager    = "are stopped as their manager stops them"
	saysStoryFreed        = "was restarted, %s freed"
	saysStoryFreedUnknown = "was restarted, memory freed"
	saysStoryNotFreed     = "was restarted, memory not freed"
	saysStoryBad          = "was restarted and came back bad"
	saysStoryUnclear      = "needs a person: how it restarted is unknown"
	saysBeforeHeld        = "held %s"
	saysBeforeGrew        = ", grew %s"
	saysSnapshotApproved  = "Snapshot approved by %s."
	saysApproved          = "Approved by %s."
	saysSnapshotTaken     = "Snapshot %s is being taken."
	saysOrderGoes         = "The restart order goes out.%s"
	saysEvidenceLine      = "• %s pid %d: heap %s, anonymous %s"
	saysEvidenceCounts    = "%s, %d descriptors, %d threads"
	saysEvidenceBefore    = "*Before the restart*\n%s%s"
)

// Asked on the command line.
const (
	saysRunWaits      = "%s waits for an approval."
	saysOfferOver     = "Finding %s is %s: there is nothing to ask for."
	saysOfferOther    = "Another question or run about this worker stands; answer or cancel it first."
	saysOfferUnderWay = "%s about this worker is approved already: %s."
	saysOfferRolling  = "The rolling restart %s is answered already; its message says how it stands."
	saysOfferSnapshot = "%s about this worker asks for a snapshot alone; answer or cancel it first."
)

// Snapshots on request.
const (
	saysSnapshotOffered = "A snapshot of %s is offered in <#%s>. Somebody who may has to approve it."
)
