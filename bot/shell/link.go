package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/crypto/ssh"
)

// Link is the connection to one droplet. It may be used from several
// goroutines at once.
type Link struct {
	o Options

	mu     sync.Mutex // held while dialling: one dial serves all
	client *ssh.Client
	wait   *backoff.ExponentialBackOff
	again  time.Time // not dialled before
	last   error     // of the last dial
	closed bool
	alive  sync.WaitGroup
}

// New returns a link that is not connected yet.
func New(o Options) *Link {
	l := &Link{o: o.withDefaults(), wait: &backoff.ExponentialBackOff{InitialInterval: time.Second, RandomizationFactor: 0.2, Multiplier: 2, MaxInterval: 2 * time.Minute}}
	l.wait.Reset()
	return l
}

// Host is who is at the other end, as USER@HOST:PORT.
func (l *Link) Host() string { return l.o.User + "@" + l.o.Address }

// Close ends the connection. Words that are run then fail.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	l.drop(l.client)
	l.mu.Unlock()
	l.alive.Wait()
}

// drop ends a connection that is of no use any more. l.mu is held.
func (l *Link) drop(c *ssh.Client) {
	if c == nil {
		return
	}
	c.Close() // it may be broken already
	if l.client == c {
		l.client = nil
	}
}

// Run has words run at the other end and returns what it said. An [*Unsent]
// error says that nothing was run; after any other nobody knows.
func (l *Link) Run(ctx context.Context, words ...string) ([]byte, error) {
	cmd, err := command(words)
	if err != nil {
		return nil, &Unsent{err}
	}
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	client, session, err := l.session(ctx)
	if err != nil {
		return nil, &Unsent{err}
	}
	out, err := l.exec(ctx, session, cmd)
	if broken(err) {
		l.mu.Lock()
		l.drop(client)
		l.mu.Unlock()
	}
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", words[0], l.Host(), err)
	}
	return out, nil
}

// Ask is [Link.Run] with its answer read.
func (l *Link) Ask(ctx context.Context, words ...string) (Answer, error) {
	raw, err := l.Run(ctx, words...)
	if err != nil {
		return Answer{}, err
	}
	a, err := Read(raw)
	if err != nil {
		return Answer{}, fmt.Errorf("%s on %s: %w", words[0], l.Host(), err)
	}
	return a, nil
}

// broken tells errors after which a connection is not used again from those
// that a command made.
func broken(err error) bool {
	var exit *ssh.ExitError
	return err != nil && !errors.As(err, &exit)
}

// session opens a channel; a connection that turns out to be dead is made
// anew once.
func (l *Link) session(ctx context.Context) (*ssh.Client, *ssh.Session, error) {
	for try := 0; ; try++ {
		client, fresh, err := l.connected(ctx)
		if err != nil {
			return nil, nil, err
		}
		session, err := opened(ctx, client)
		if err == nil {
			return client, session, nil
		}
		l.mu.Lock()
		l.drop(client)
		l.mu.Unlock()
		if fresh || try > 0 || ctx.Err() != nil {
			return nil, nil, fmt.Errorf("open a channel to %s: %w", l.Host(), err)
		}
	}
}

// opened is NewSession with an end: a host that is gone does not answer.
func opened(ctx context.Context, c *ssh.Client) (*ssh.Session, error) {
	type answer struct {
		s   *ssh.Session
		err error
	}
	got := make(chan answer, 1)
	go func() {
		s, err := c.NewSession()
		got <- answer{s, err}
	}()
	select {
	case a := <-got:
		return a.s, a.err
	case <-ctx.Done():
		c.Close() // ends the goroutine
		return nil, ctx.Err()
	}
}

// connected returns the connection, made anew if need be.
func (l *Link) connected(ctx context.Context) (client *ssh.Client, fresh bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, false, errors.New("the link is closed")
	case l.client != nil:
		return l.client, false, nil
	case time.Now().Before(l.again):
		return nil, false, fmt.Errorf("not tried again before %s: %w", l.again.UTC().Format("15:04:05"), l.last)
	}
	if l.client, err = l.dial(ctx); err != nil {
		l.last = err
		l.again = time.Now().Add(l.wait.NextBackOff())
		return nil, false, err
	}
	l.wait.Reset()
	client = l.client
	l.alive.Go(func() { l.keepAlive(client) })
	return client, true, nil
}

func (l *Link) dial(ctx context.Context) (*ssh.Client, error) {
	known, err := hostsFrom(l.o)
	if err != nil {
		return nil, err
	}
	who, err := keysFrom(l.o)
	if err != nil {
		return nil, err
	}
	defer who.close()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.o.Address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", l.o.Address, err)
	}
	until, _ := ctx.Deadline()
	if err := conn.SetDeadline(until); err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial %s: %w", l.o.Address, err)
	}
	config := &ssh.ClientConfig{User: l.o.User, Auth: []ssh.AuthMethod{who.method}, HostKeyCallback: known.verify,
		HostKeyAlgorithms: known.algorithms(), ClientVersion: "SSH-2.0-dropleak"}
	wire, channels, requests, err := ssh.NewClientConn(conn, l.o.Address, config)
	if err != nil {
		conn.Close()
		return nil, refused(l.o, who, known.told(fmt.Errorf("dial %s: %w", l.o.Address, err), config.HostKeyAlgorithms))
	}
	return ssh.NewClient(wire, channels, requests), conn.SetDeadline(time.Time{})
}

// keepAlive gives signs of life until the connection ends, and ends it when
// the other end gives none.
func (l *Link) keepAlive(c *ssh.Client) {
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }() // why it ended shows where it is used
	tick := time.NewTicker(l.o.KeepAlive)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			l.mu.Lock()
			l.drop(c)
			l.mu.Unlock()
			return
		case <-tick.C:
		}
		late := time.AfterFunc(l.o.KeepAlive, func() { c.Close() })
		_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
		late.Stop()
		if err != nil {
			c.Close()
		}
	}
}

// exec runs one command, sends the script to whoever reads it, and takes the
// whole answer.
func (l *Link) exec(ctx context.Context, s *ssh.Session, cmd string) ([]byte, error) {
	out := &bounded{left: l.o.MaxAnswer, over: make(chan struct{})}
	said := &bounded{left: 4 << 10, over: make(chan struct{}), cut: true}
	s.Stdout, s.Stderr = out, said
	in, err := s.StdinPipe()
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() {
		defer s.Close()
		if err := s.Start(cmd); err != nil {
			done <- err
			return
		}
		_, _ = in.Write([]byte(Script)) // a forced command does not read it
		in.Close()
		done <- s.Wait()
	}()
	select {
	case err = <-done:
	case <-out.over:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, l.o.MaxAnswer)
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer within %v: %w", l.o.Timeout, ctx.Err())
	}
	return out.bytes(), explained(err, said.bytes())
}

// explained adds what a failed command said.
func explained(err error, said []byte) error {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(said), "?")), " ")
	if err != nil && text != "" {
		return fmt.Errorf("%w, and said: %s", err, text)
	}
	return err
}

// bounded keeps what is written to it up to a bound, and tells when there was
// more; with cut, the rest is dropped in silence.
type bounded struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	left int64
	over chan struct{}
	cut  bool
}

// Write implements [io.Writer].
func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(len(p)) <= b.left {
		b.left -= int64(len(p))
		return b.buf.Write(p)
	}
	if b.cut {
		b.buf.Write(p[:b.left])
		b.left = 0
		return len(p), nil
	}
	if b.left >= 0 {
		b.left = -1
		close(b.over)
	}
	return 0, ErrTooLarge
}

func (b *bounded) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Bytes()
}
