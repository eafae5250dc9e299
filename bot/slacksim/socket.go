package slacksim

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// maxSockets is how many connections one app may hold; maxAck is the size from
// which Slack drops an ack without a word.
const (
	maxSockets = 10
	maxAck     = 20 << 10
	pingEvery  = 5 * time.Second
)

// socket is one Socket Mode connection.
type socket struct {
	conn *websocket.Conn
	ctx  context.Context
}

func (s *Sim) openConnection(object) (object, *apiError) {
	if s.faults.RefuseSockets {
		return nil, fail("internal_error")
	}
	if len(s.sockets) >= maxSockets {
		return nil, fail("too_many_websockets")
	}
	ticket := secret()
	s.tickets[ticket] = true
	return object{"url": "ws" + strings.TrimPrefix(s.url, "http") + "/socket?ticket=" + ticket}, nil
}

func (s *Sim) serveSocket(w http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Query().Get("ticket")
	s.mu.Lock()
	ok := s.tickets[ticket]
	delete(s.tickets, ticket)
	s.mu.Unlock()
	if !ok {
		http.Error(w, "ticket unknown or used", http.StatusForbidden)
		return
	}
	// The client names Slack's own origin, which is not ours.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		s.log.Error("accept a simulated slack socket", "err", err)
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	k := &socket{conn: conn, ctx: ctx}
	if !s.hello(k) {
		return
	}
	go k.ping(cancel)
	s.readAcks(k)
	s.dropSocket(k)
}

// hello greets the client and counts the socket as open.
func (s *Sim) hello(k *socket) bool {
	s.mu.Lock()
	n := len(s.sockets) + 1
	s.mu.Unlock()
	err := k.write(object{"type": "hello", "num_connections": n, "connection_info": object{"app_id": "A0SIM"},
		"debug_info": object{"host": "slacksim", "approximate_connection_time": 18060}})
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets = append(s.sockets, k)
	s.note(Entry{Kind: Socket, Name: "open"})
	s.bump()
	return true
}

func (s *Sim) dropSocket(k *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets = slices.DeleteFunc(s.sockets, func(o *socket) bool { return o == k })
	s.note(Entry{Kind: Socket, Name: "close"})
	s.bump()
}

func (k *socket) write(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return k.conn.Write(k.ctx, websocket.MessageText, b)
}

// ping tells the client that we live: it hangs up after thirty silent seconds.
func (k *socket) ping(cancel context.CancelFunc) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		if k.conn.Ping(k.ctx) != nil {
			cancel()
			return
		}
		select {
		case <-t.C:
		case <-k.ctx.Done():
			return
		}
	}
}

// readAcks takes acks until the connection ends.
func (s *Sim) readAcks(k *socket) {
	for {
		_, b, err := k.conn.Read(k.ctx)
		if err != nil {
			return
		}
		if len(b) >= maxAck {
			s.log.Error("simulated slack drops an oversized ack", "bytes", len(b))
			continue
		}
		var a struct {
			EnvelopeID string          `json:"envelope_id"`
			Payload    json.RawMessage `json:"payload"`
		}
		if err := json.Unmarshal(b, &a); err != nil {
			s.log.Error("simulated slack cannot read an ack", "err", err)
			continue
		}
		s.mu.Lock()
		wait := s.waiting[a.EnvelopeID]
		s.mu.Unlock()
		if wait == nil {
			continue // late
		}
		select {
		case wait <- ack{payload: a.Payload}:
		default: // the duplicate's ack
		}
	}
}

// overSocket sends a parcel over the next socket in turn and waits for its ack.
func (s *Sim) overSocket(ctx context.Context, p parcel, payload []byte) ack {
	s.mu.Lock()
	if len(s.sockets) == 0 {
		s.mu.Unlock()
		return ack{reason: "dispatch_failed"}
	}
	k := s.sockets[s.nextSocket%len(s.sockets)]
	s.nextSocket++
	wait, ok := s.waiting[p.id]
	if !ok {
		wait = make(chan ack, 2)
		s.waiting[p.id] = wait
	}
	s.mu.Unlock()
	err := k.write(object{"type": p.kind, "envelope_id": p.id, "payload": json.RawMessage(payload),
		"accepts_response_payload": p.kind == "slash_commands" || p.name == "view_submission"})
	if err != nil {
		return ack{reason: "dispatch_failed"}
	}
	select {
	case a := <-wait:
		return a
	case <-ctx.Done():
		return ack{reason: "operation_timeout"}
	}
}

// Sockets is how many connections are open.
func (s *Sim) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sockets)
}

// WaitSockets returns when n connections are open.
func (s *Sim) WaitSockets(ctx context.Context, n int) error {
	return s.Wait(ctx, func() bool { return s.Sockets() >= n })
}

// Refresh asks the client of the n oldest connections to renew them, as Slack
// does every few hours; it sends nothing more over them.
func (s *Sim) Refresh(n int) {
	s.mu.Lock()
	n = min(n, len(s.sockets))
	old := slices.Clone(s.sockets[:n])
	s.sockets = slices.Clone(s.sockets[n:])
	s.bump()
	s.mu.Unlock()
	for _, k := range old {
		k.write(object{"type": "disconnect", "reason": "refresh_requested", "debug_info": object{"host": "slacksim"}})
	}
}

// Cut breaks every connection without a word.
func (s *Sim) Cut() {
	for _, k := range s.openSockets() {
		k.conn.CloseNow()
	}
}

// SendFrame sends raw bytes over every socket, for frames no Slack should send.
func (s *Sim) SendFrame(b []byte) {
	for _, k := range s.openSockets() {
		k.conn.Write(k.ctx, websocket.MessageText, b)
	}
}

func (s *Sim) openSockets() []*socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sockets)
}
