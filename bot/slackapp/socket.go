package slackapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
)

// socketStagger keeps the two sockets from growing old together: Slack renews
// each after some hours, and what arrives in the gap of the only one is lost.
const socketStagger = 10 * time.Second

// sockets keeps several Socket Mode connections open at once; Slack sends each
// request over any one of them.
type sockets struct {
	app     *App
	count   int
	stagger time.Duration

	mu      sync.Mutex
	open    map[int]bool
	lastErr string
}

func (s *sockets) state() (open int, lastErr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, up := range s.open {
		if up {
			open++
		}
	}
	return open, s.lastErr
}

func (s *sockets) mark(i int, up bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[int]bool{}
	}
	s.open[i] = up
	switch {
	case err != nil:
		s.lastErr = err.Error()
	case up:
		s.lastErr = ""
	}
}

func (s *sockets) run(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range s.count {
		wg.Go(func() {
			if sleep(ctx, time.Duration(i)*s.stagger) {
				s.keep(ctx, i)
			}
		})
	}
	wg.Wait()
}

// keep holds one socket open until ctx ends. slack-go reconnects by itself and
// gives up only when Slack refuses the token; we go on even then, slowly, since
// the remedy (a new token, a reinstalled app) may not restart us.
func (s *sockets) keep(ctx context.Context, i int) {
	for wait := 5 * time.Second; ; wait = min(2*wait, 5*time.Minute) {
		err := s.connect(ctx, i)
		s.mark(i, false, err)
		if ctx.Err() != nil {
			return
		}
		about := []any{"socket", i, "err", err, "retry_in", wait}
		if err != nil && RefusesToken(err.Error()) {
			about = append(about, "about", "SLACK_APP_TOKEN")
		}
		s.app.log.Error("slack socket given up", about...)
		if !sleep(ctx, wait) {
			return
		}
	}
}

// connect runs one slack-go client until it gives up or ctx ends.
func (s *sockets) connect(ctx context.Context, i int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := socketmode.New(s.app.api,
		socketmode.OptionDialer(s.app.dialer()),
		socketmode.OptionReadLimit(4<<20))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case ev := <-client.Events:
				s.event(ctx, client, i, ev, &wg)
			}
		}
	})
	err := client.RunContext(ctx)
	cancel()
	return err
}

// dialer is slack-go's own, but notes every byte that arrives: slack-go answers
// Slack's pings without telling anybody.
func (a *App) dialer() *websocket.Dialer {
	d := net.Dialer{Timeout: 20 * time.Second, KeepAlive: 15 * time.Second}
	return &websocket.Dialer{
		Proxy:            http.ProxyFromEnvironment,
		HandshakeTimeout: 30 * time.Second,
		// Slack does not put continuation frames together again.
		WriteBufferSize: 32 << 10,
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return heardConn{c, a.limits}, nil
		},
	}
}

type heardConn struct {
	net.Conn
	limits *limits
}

func (c heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.limits.hear()
	}
	return n, err
}

// event takes one event of a socket. Requests are handled side by side, so that
// a slow one does not hold up the others.
func (s *sockets) event(ctx context.Context, client *socketmode.Client, i int, ev socketmode.Event, wg *sync.WaitGroup) {
	log := s.app.log.With("socket", i)
	switch ev.Type {
	case socketmode.EventTypeHello:
		s.mark(i, true, nil)
		log.Info("slack socket open")
	case socketmode.EventTypeConnecting:
		s.mark(i, false, nil)
	case socketmode.EventTypeConnectionError, socketmode.EventTypeIncomingError, socketmode.EventTypeErrorWriteFailed:
		err := eventError(ev)
		s.mark(i, ev.Type == socketmode.EventTypeErrorWriteFailed, err)
		log.Warn("slack socket", "event", string(ev.Type), "err", err)
	case socketmode.EventTypeInvalidAuth:
		s.mark(i, false, errors.New("slack refuses the app-level token"))
	case socketmode.EventTypeErrorBadMessage:
		// slack-go's types refused something in it; ours may still read it.
		bad, _ := ev.Data.(*socketmode.ErrorBadMessage)
		if bad == nil {
			return
		}
		wg.Go(func() { s.salvage(ctx, client, bad) })
	case socketmode.EventTypeSlashCommand, socketmode.EventTypeInteractive, socketmode.EventTypeEventsAPI:
		if ev.Request != nil {
			wg.Go(func() { s.request(ctx, client, *ev.Request) })
		}
	}
}

func eventError(ev socketmode.Event) error {
	switch d := ev.Data.(type) {
	case *slack.ConnectionErrorEvent:
		return d.ErrorObj
	case *slack.IncomingEventError:
		return d.ErrorObj
	case *socketmode.ErrorWriteFailed:
		return d.Cause
	}
	return fmt.Errorf("%s", ev.Type)
}

// salvage tries a frame slack-go could not decode with our own parser.
func (s *sockets) salvage(ctx context.Context, client *socketmode.Client, bad *socketmode.ErrorBadMessage) {
	var req socketmode.Request
	if err := json.Unmarshal(bad.Message, &req); err != nil || req.EnvelopeID == "" {
		s.app.log.Error("slack frame unreadable", "bytes", len(bad.Message), "err", bad.Cause)
		return
	}
	s.app.log.Warn("slack frame refused by slack-go", "type", req.Type, "err", bad.Cause)
	s.request(ctx, client, req)
}

// request delivers one envelope and acks it if it was taken.
func (s *sockets) request(ctx context.Context, client *socketmode.Client, req socketmode.Request) {
	in, err := parseFrame(req.Type, req.Payload)
	var payload json.RawMessage
	switch {
	case errors.Is(err, errUninteresting):
		s.app.log.Debug("slack request ignored", "err", err)
	case err != nil:
		s.app.log.Warn("slack request unreadable", "envelope", req.EnvelopeID, "err", err)
		return
	default:
		if payload, err = s.app.deliver(ctx, in); err != nil {
			return
		}
	}
	var body any
	if payload != nil && req.AcceptsResponsePayload {
		body = payload
	}
	if err := client.AckCtx(ctx, req.EnvelopeID, body); err != nil {
		s.app.log.Error("slack ack not sent", "envelope", req.EnvelopeID, "err", err)
	}
}

// parseFrame reads the payload of a Socket Mode frame of the given type.
func parseFrame(kind string, payload []byte) (Envelope, error) {
	switch kind {
	case socketmode.RequestTypeSlashCommands:
		return parseCommandJSON(payload)
	case socketmode.RequestTypeInteractive:
		return parseInteraction(payload)
	case socketmode.RequestTypeEventsAPI:
		in, _, err := parseEvent(payload)
		if err == nil && in.ID == "" {
			err = errUninteresting
		}
		return in, err
	}
	return Envelope{}, fmt.Errorf("frame %q: %w", kind, errUninteresting)
}
