package slackapp

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"time"
)

// ackWithin is what a handler gets of the three seconds Slack waits.
const ackWithin = 2500 * time.Millisecond

// deliver hands an envelope to the handler. An error, a panic included, means
// that the envelope was not taken and must not be acked.
func (a *App) deliver(ctx context.Context, in Envelope) (json.RawMessage, error) {
	in.At = time.Now().UTC()
	ctx, cancel := context.WithTimeout(ctx, ackWithin)
	defer cancel()
	ack, err := a.receive(ctx, in)
	if err != nil {
		return nil, err
	}
	payload, err := ack.payload()
	if err != nil {
		// The envelope is kept: not to ack it now would be the greater lie.
		a.log.Error("slack answer cannot be written", "id", in.ID, "err", err)
		return nil, nil
	}
	if len(payload) < maxAck {
		return payload, nil
	}
	a.oversized(in, ack, len(payload))
	return nil, nil
}

// oversized sends an answer too large for an ack by the response address instead.
func (a *App) oversized(in Envelope, ack Ack, size int) {
	a.log.Warn("slack answer too large for an ack", "id", in.ID, "bytes", size)
	if in.Command == nil || ack.Text == "" {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		m := Message{Text: ack.Text, Blocks: ack.Blocks}
		if err := a.Respond(ctx, in.Command.ResponseURL, m); err != nil {
			a.log.Error("slack answer lost", "id", in.ID, "err", err)
		}
	}()
}

func (a *App) receive(ctx context.Context, in Envelope) (ack Ack, err error) {
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("slack handler panicked", "id", in.ID, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("handle %s: panic: %v", in.ID, p)
		}
	}()
	ack, err = a.handler.Receive(ctx, in)
	if err != nil {
		a.log.Error("slack request not taken", "id", in.ID, "err", err)
	}
	return ack, err
}
