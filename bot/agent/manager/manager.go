// Package manager asks systemd and supervisord about the units they run, and
// restarts them.
//
// What a restart does to running tasks is the manager's affair: how long it
// waits, whom it kills. [State] says so before anybody decides.
package manager

import (
	"errors"
	"time"
)

// Unknown is a stop timeout that could not be read; Forever one that never
// ends.
const (
	Unknown time.Duration = -1
	Forever time.Duration = 0
)

// State is what a manager says of one unit.
type State struct {
	Running     bool
	Transient   bool   // starting, stopping, or waiting to start again
	Word        string // the manager's own word for it
	PID         int    // of the process it watches; 0 none
	StopTimeout time.Duration
	StopSignal  string // "SIGTERM"; "" unknown
	KillMode    string // systemd's KillMode; of supervisor "group" or "process"
	AutoRestart string // systemd's Restart=, supervisor's autorestart=; "" unknown
	StartsAgain bool   // after a clean exit
	Change      string // the line that would make StartsAgain true; "" when it is
}

// ErrNoUnit is wrapped when the manager does not know the unit.
var ErrNoUnit = errors.New("no such unit")

// ErrNotStarted is wrapped when the manager tried and gave up.
var ErrNotStarted = errors.New("did not start")
