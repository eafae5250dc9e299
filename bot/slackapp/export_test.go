package slackapp

import (
	"context"
	"maps"
	"slices"
	"time"
)

// SetStagger changes the time between the opening of the sockets.
func SetStagger(a *App, d time.Duration) { a.sockets.stagger = d }

type nobody struct{}

func (nobody) Receive(context.Context, Envelope) (Ack, error) { return Ack{}, nil }

// MethodNames are those of the table.
func MethodNames() []string { return slices.Collect(maps.Keys(methods)) }
