package report

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
