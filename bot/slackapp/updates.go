package slackapp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// errClosed answers an update asked for after Close.
var errClosed = errors.New("slack app is closed")

// updates coalesces the edits of each message: at most one is on its way, the
// newest state waits behind it, and what came between is dropped.
type updates struct {
	every time.Duration
	send  func(context.Context, target, Message) (string, error)
	log   *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	closing chan struct{} // closed by close

	mu      sync.Mutex
	closed  bool
	entries map[string]*pending
}

// pending is a message with an edit on its way or lately made.
type pending struct {
	channel, ts string
	next        *Message
	waiters     []chan error
}

func newUpdates(every time.Duration, send func(context.Context, target, Message) (string, error), log *slog.Logger) *updates {
	ctx, cancel := context.WithCancel(context.Background())
	return &updates{every: every, send: send, log: log, ctx: ctx, cancel: cancel,
		closing: make(chan struct{}), entries: map[string]*pending{}}
}

func (u *updates) put(ctx context.Context, channel, ts string, m Message) error {
	done := make(chan error, 1)
	if err := u.add(channel, ts, m, done); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (u *updates) later(channel, ts string, m Message) error { return u.add(channel, ts, m, nil) }

func (u *updates) add(channel, ts string, m Message, done chan error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return errClosed
	}
	key := channel + " " + ts
	p, ok := u.entries[key]
	if !ok {
		p = &pending{channel: channel, ts: ts}
		u.entries[key] = p
		u.wg.Go(func() { u.write(key, p) })
	}
	p.next = &m
	if done != nil {
		p.waiters = append(p.waiters, done)
	}
	return nil
}

// write sends the newest state until none waits, with a pause after each; the
// entry lives through the last pause so that the next edit keeps the distance.
func (u *updates) write(key string, p *pending) {
	for {
		u.mu.Lock()
		m, waiters := p.next, p.waiters
		p.next, p.waiters = nil, nil
		if m == nil {
			delete(u.entries, key)
			u.mu.Unlock()
			return
		}
		u.mu.Unlock()
		_, err := u.send(u.ctx, target{method: "chat.update", channel: p.channel, ts: p.ts}, *m)
		if err != nil {
			u.log.Warn("slack update not written", "channel", p.channel, "ts", p.ts, "err", err)
		}
		for _, w := range waiters {
			w <- err
		}
		u.rest()
	}
}

// rest keeps the distance between two edits, cut short by closing.
func (u *updates) rest() {
	t := time.NewTimer(u.every)
	defer t.Stop()
	select {
	case <-t.C:
	case <-u.closing:
	}
}

// close writes what waits and refuses more. When ctx ends first, the rest is
// given up and said so.
func (u *updates) close(ctx context.Context) error {
	u.mu.Lock()
	if !u.closed {
		u.closed = true
		close(u.closing)
	}
	u.mu.Unlock()
	done := make(chan struct{})
	go func() { u.wg.Wait(); close(done) }()
	defer u.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		u.cancel()
		<-done
		return errors.Join(errors.New("close slack: updates were waiting"), ctx.Err())
	}
}
