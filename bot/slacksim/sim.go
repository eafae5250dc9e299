// Package slacksim is a Slack workspace in memory, with buttons to press, a
// browser page to look at, and faults.
//
// A [Sim] answers the Web API methods a bot needs, carries commands, clicks and
// modals to the bot over Socket Mode or signed HTTP, and lets a test (or a person
// at the page under /) be its users. It keeps Slack's rules: blocks are validated,
// texts have lengths, methods have rates, triggers die after three seconds, a
// response address after five uses, an uploaded file is not ready at once, and a
// request that is not acked within three seconds shows its user an error.
//
// It is unkind by default: now and then it delivers a request twice or answers
// 429, by a seed; [Sim.Kind] switches that off. [Faults] has the rest. A method
// it does not model answers unknown_method and stands in the journal as such.
//
// It shares no type with slack-go or with the client under test, so the two
// cannot merely agree with each other. Not modelled: search, history by the API,
// direct messages, reactions, several workspaces. A message that is scheduled
// can be taken back, and is never posted.
package slacksim

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// User is somebody in the workspace, or from elsewhere.
type User struct {
	ID       string
	Name     string // the handle
	RealName string
	Team     string // "" is the workspace's own
	TZ       string // IANA name, "" is Europe/Berlin
	// Guest is a single-channel guest, Bot an app, Stranger somebody from another
	// workspace in a shared channel, Deleted deactivated.
	Guest, Bot, Stranger, Deleted bool
}

// Channel is a public channel. Everybody is a member but those in Absent.
type Channel struct {
	ID, Name string
	Shared   bool // with another workspace
	Archived bool
	Absent   []string // user ids, the bot's included
}

// Options describes the workspace. The zero value is a whole one: channels #ops
// (C0OPS) and #deploys (C0DEPLOYS); Anna (U0ANNA) and Ben (U0BEN), approvers in
// the user group S0ONCALL; Carla (U0CARLA), no approver; the guest Gus (U0GUS),
// the stranger Eve (U0EVE) and the bot (U0BOT).
type Options struct {
	BotToken      string // default xoxb-sim
	AppToken      string // default xapp-sim
	SigningSecret string // default sim-signing-secret
	Team          string // default T0DROPLEAK
	BotName       string // default dropleak
	Scopes        []string
	Users         []User
	Channels      []Channel
	Groups        map[string][]string

	// AppURL is where the bot listens in HTTP mode, such as http://127.0.0.1:8080;
	// requests go to its /slack/commands, /slack/interactions and /slack/events.
	// Empty means Socket Mode.
	AppURL string
	// App carries the requests of HTTP mode; nil means http.DefaultTransport.
	App http.RoundTripper
	// URL is where the simulator itself is reached, for response and upload
	// addresses; Start sets it. Default http://127.0.0.1:9.
	URL string

	Seed uint64
	// FileDelay is how long a completed upload stays unusable; default 300 ms.
	FileDelay time.Duration
	Logger    *slog.Logger // default: discard
	// Hints are commands the page offers to send.
	Hints []string
}

// Sim is the workspace. Make it with New.
type Sim struct {
	opts Options
	log  *slog.Logger
	mux  *http.ServeMux

	mu         sync.Mutex
	rng        *mrand.Rand
	kind       bool
	faults     Faults
	url        string
	banner     string
	lastTS     time.Time
	serial     int
	version    int
	changed    chan struct{}
	users      map[string]*User
	channels   map[string]*Channel
	messages   []*Message
	files      map[string]*file
	scheduled  map[string]string // id → channel of messages to come
	triggers   map[string]*trigger
	responses  map[string]*responseURL
	views      map[string]*View
	stacks     map[string][]string // user → open modals, the top last
	homes      map[string]string   // user → view id
	calls      map[string][]time.Time
	journal    []Entry
	sockets    []*socket
	tickets    map[string]bool
	nextSocket int
	waiting    map[string]chan ack // envelope id → who waits for the ack

	server   *http.Server
	serverWG sync.WaitGroup
}

// New makes a workspace.
func New(opts Options) *Sim {
	opts.fill()
	s := &Sim{opts: opts, log: opts.Logger, url: opts.URL,
		rng:      mrand.New(mrand.NewPCG(opts.Seed, 2)),
		changed:  make(chan struct{}),
		users:    map[string]*User{},
		channels: map[string]*Channel{}, files: map[string]*file{}, scheduled: map[string]string{}, triggers: map[string]*trigger{},
		responses: map[string]*responseURL{}, views: map[string]*View{}, stacks: map[string][]string{},
		homes: map[string]string{}, calls: map[string][]time.Time{}, tickets: map[string]bool{},
		waiting: map[string]chan ack{}}
	s.faults.init()
	for _, u := range opts.Users {
		s.users[u.ID] = &u
	}
	for _, c := range opts.Channels {
		s.channels[c.ID] = &c
	}
	s.mux = s.routes()
	return s
}

func (o *Options) fill() {
	def := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	def(&o.BotToken, "xoxb-sim")
	def(&o.AppToken, "xapp-sim")
	def(&o.SigningSecret, "sim-signing-secret")
	def(&o.Team, "T0DROPLEAK")
	def(&o.BotName, "dropleak")
	def(&o.URL, "http://127.0.0.1:9")
	if o.Scopes == nil {
		o.Scopes = []string{"chat:write", "commands", "files:read", "files:write", "usergroups:read", "users:read"}
	}
	if o.Users == nil {
		o.Users = []User{
			{ID: "U0ANNA", Name: "anna", RealName: "Anna Ops"},
			{ID: "U0BEN", Name: "ben", RealName: "Ben Oncall"},
			{ID: "U0CARLA", Name: "carla", RealName: "Carla Intern"},
			{ID: "U0GUS", Name: "gus", RealName: "Gus Guest", Guest: true},
			{ID: "U0EVE", Name: "eve", RealName: "Eve Elsewhere", Team: "T0OTHER", Stranger: true},
		}
	}
	o.Users = append(o.Users, User{ID: "U0BOT", Name: o.BotName, RealName: o.BotName, Bot: true})
	for i := range o.Users {
		def(&o.Users[i].Team, o.Team)
		def(&o.Users[i].TZ, "Europe/Berlin")
	}
	if o.Channels == nil {
		o.Channels = []Channel{{ID: "C0OPS", Name: "ops"}, {ID: "C0DEPLOYS", Name: "deploys"}}
	}
	if o.Groups == nil {
		o.Groups = map[string][]string{"S0ONCALL": {"U0ANNA", "U0BEN"}}
	}
	if o.FileDelay == 0 {
		o.FileDelay = 300 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Kind stops the random duplicates and refusals. It returns the Sim.
func (s *Sim) Kind() *Sim {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kind = true
	return s
}

// Unkind brings them back. It returns the Sim.
func (s *Sim) Unkind() *Sim {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kind = false
	return s
}

// SetBanner sets the sentence above the page that says what is simulated.
func (s *Sim) SetBanner(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.banner = text
	s.bump()
}

// SetAppURL says where the bot listens in HTTP mode.
func (s *Sim) SetAppURL(u string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.AppURL = strings.TrimSuffix(u, "/")
}

// URL is where the simulator is reached; its Web API is at URL()+"/api/".
func (s *Sim) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// APIURL is the base of the Web API, with its slash.
func (s *Sim) APIURL() string { return s.URL() + "/api/" }

// Start serves the workspace on addr ("" is a free port on loopback) until Close.
func (s *Sim) Start(addr string) error {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for the simulated slack: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = "http://" + l.Addr().String()
	s.server = &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	srv := s.server
	s.serverWG.Go(func() {
		if err := srv.Serve(l); err != http.ErrServerClosed {
			s.log.Error("simulated slack stopped", "err", err)
		}
	})
	return nil
}

// Close ends the server and every socket.
func (s *Sim) Close() error {
	s.mu.Lock()
	srv, socks := s.server, s.sockets
	s.server, s.sockets = nil, nil
	s.mu.Unlock()
	for _, k := range socks {
		k.conn.CloseNow()
	}
	if srv == nil {
		return nil
	}
	err := srv.Close()
	s.serverWG.Wait()
	return err
}

// Handler serves the Web API, the socket, uploads, response addresses and the page.
func (s *Sim) Handler() http.Handler { return s.mux }

// bump wakes all who wait for a change. The lock is held.
func (s *Sim) bump() {
	s.version++
	close(s.changed)
	s.changed = make(chan struct{})
}

// newTS makes a message timestamp that no other message has. The lock is held.
func (s *Sim) newTS() string {
	now := time.Now()
	if !now.After(s.lastTS.Add(time.Microsecond)) {
		now = s.lastTS.Add(time.Microsecond)
	}
	s.lastTS = now.Truncate(time.Microsecond)
	return fmt.Sprintf("%d.%06d", now.Unix(), now.Nanosecond()/1000)
}

// newID makes an id Slack could have made. The lock is held.
func (s *Sim) newID(prefix string) string {
	s.serial++
	return fmt.Sprintf("%s0%07X", prefix, 0x5A0000+s.serial)
}

// secret makes an unguessable word.
func secret() string {
	b := make([]byte, 15)
	rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}
