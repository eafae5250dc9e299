package slackapp

import "time"

// SetStagger changes the time between the opening of the sockets.
func SetStagger(a *App, d time.Duration) { a.sockets.stagger = d }
