// Package agent is the half on the droplet: sample, spool, ship, carry out
// allowed orders through systemd, supervisor or the process itself.
//
// Three loops share nothing but the spool and the wire: one takes a pass at
// every tick of a grid and spools it, one ships the spool, one asks for
// orders. The service being away stops none but the last two.
//
// It refuses to send its token over http:// to another host, to touch a unit
// that its own operator did not name, and to carry out one order twice.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/dropleak/dropleak/bot/agent/manager"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/procfs"
	"github.com/dropleak/dropleak/detector/sample"
)

// Options is all that an agent is told. The first group comes from flags and
// environment; the second has working defaults and is there for tests and
// the demo.
type Options struct {
	Server    string // address of the service, without path
	TokenFile string // file that holds the bearer token; read anew when it changes
	Allow     []order.Unit
	Spool     string // directory
	SpoolMax  int64  // bytes
	Every     time.Duration
	Insecure  bool // allow http:// to other hosts
	HugePSS   bool // read PSS of processes above 4 GiB too
	// SupervisorConfig is where supervisord's configuration lies when the
	// processes do not tell; "" Debian's place.
	SupervisorConfig string
	Probe            string // socket for the probe in Celery's processes; "" none
	MetadataURL      string // where DigitalOcean tells the droplet's id
	Version          string
	Log              *slog.Logger

	Proc, Cgroup fs.FS // default /proc and /sys/fs/cgroup
	// Disk tells how many bytes a snapshot would copy; default what the root
	// file system holds.
	Disk      func() (float64, error)
	MachineID string            // file; default /etc/machine-id
	Transport http.RoundTripper // default a transport of our own
}

// MetadataURL is DigitalOcean's own address for a droplet's id.
const MetadataURL = "http://169.254.169.254/metadata/v1/id"

// Defaults of the flags.
const (
	DefaultEvery    = time.Minute
	DefaultSpoolMax = 64 << 20
	DefaultSpool    = "/var/lib/dropleak-agent"
)

// Agent is one agent, made by [New], run by [Agent.Run].
type Agent struct {
	opts     Options
	id       *identity
	wire     *wire
	spool    *spool
	sampler  *sampler
	shipper  *shipper
	orders   *orders
	executor *executor
	probe    *probeSocket // nil: none
	metadata *http.Client
	host     string
}

// New checks the options and opens the spool. Errors name the flag to mend.
func New(o Options) (*Agent, error) {
	o = withDefaults(o)
	if err := check(o); err != nil {
		return nil, err
	}
	a := &Agent{opts: o, id: &identity{}}
	a.sampler = &sampler{reader: reader(o), budget: budget{huge: o.HugePSS}}
	a.host = a.sampler.reader.Hostname()
	var err error
	if a.id.boot, err = a.sampler.reader.BootID(); err != nil {
		return nil, err
	}
	if a.id.machine, err = machineID(o.MachineID); err != nil {
		return nil, err
	}
	a.wire = &wire{next: o.Transport, token: tokenFrom(o.TokenFile), identity: a.id, version: o.Version, log: o.Log}
	if _, err := a.wire.token(); err != nil {
		return nil, err
	}
	a.metadata = &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	if err := a.open(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Agent) open() (err error) {
	o := a.opts
	if a.spool, err = openSpool(o.Spool, o.SpoolMax); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			a.spool.close()
		}
	}()
	j, err := openJournal(o.Spool, time.Now())
	if err != nil {
		return err
	}
	if a.shipper, err = newShipper(a.spool, o.Server, a.wire, o.Log); err != nil {
		j.close()
		return err
	}
	a.orders = &orders{server: o.Server, http: a.wire.client(pollWait + 15*time.Second)}
	a.executor = &executor{journal: j, wire: a.orders, allow: o.Allow, id: a.id, now: a.wire.now, log: o.Log,
		man: realManagers{o.SupervisorConfig}, kill: syscall.Kill, every: 200 * time.Millisecond, reader: reader(o),
		fresh: func() *procfs.Reader { return reader(o) }, disk: o.Disk}
	a.listen()
	return nil
}

// listen opens the probe's socket. An agent that cannot goes on without: it
// measures, and names no tasks.
func (a *Agent) listen() {
	if a.opts.Probe == "" {
		return
	}
	var err error
	if a.probe, err = openProbe(a.opts.Probe, &a.sampler.tasks, a.opts.Log); err != nil {
		a.opts.Log.Warn("tasks will not be counted", "error", err)
		return
	}
	a.executor.heap = &heap{one: make(chan struct{}, 1), dir: filepath.Dir(a.opts.Probe), tasks: &a.sampler.tasks, proc: a.opts.Proc}
}

func withDefaults(o Options) Options {
	if o.Proc == nil {
		o.Proc = os.DirFS("/proc")
	}
	if o.Cgroup == nil {
		o.Cgroup = os.DirFS("/sys/fs/cgroup")
	}
	if o.Disk == nil {
		o.Disk = diskUsed
	}
	if o.MachineID == "" {
		o.MachineID = "/etc/machine-id"
	}
	if o.MetadataURL == "" {
		o.MetadataURL = MetadataURL
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Every == 0 {
		o.Every = DefaultEvery
	}
	if o.SpoolMax == 0 {
		o.SpoolMax = DefaultSpoolMax
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2, IdleConnTimeout: 2 * time.Minute,
			TLSHandshakeTimeout: 10 * time.Second, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, ForceAttemptHTTP2: false}
	}
	return o
}

func check(o Options) error {
	u, err := url.Parse(o.Server)
	switch {
	case o.Server == "":
		return errors.New("no server: set --server https://HOST")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("server %q is no address: want --server https://HOST", o.Server)
	case u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "":
		return fmt.Errorf("server %s: give scheme, host and port only", u.Redacted())
	case u.Scheme == "http" && !loopback(u.Hostname()) && !o.Insecure:
		return fmt.Errorf("server %s: the token would cross the network in clear; use https, or --insecure if the network is your own", o.Server)
	case o.TokenFile == "":
		return errors.New("no token: set --token-file to the file that holds what `dropleak token create` printed")
	case o.Spool == "":
		return errors.New("no spool: set --spool to a directory of the agent's own")
	case o.SpoolMax < 1<<20:
		return fmt.Errorf("spool bound of %d bytes: --spool-max is at least 1MiB", o.SpoolMax)
	case o.Every < time.Second:
		return fmt.Errorf("a pass every %s: --every is at least 1s", o.Every)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tokenFrom reads the token at each call, so that it can be changed without
// a restart; the file is one line and in the page cache.
func tokenFrom(file string) func() (string, error) {
	return func() (string, error) {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read token: %w", err)
		}
		token := strings.TrimSpace(string(raw))
		if token == "" || strings.ContainsAny(token, " \t\r\n") {
			return "", fmt.Errorf("read token: %s holds no token", file)
		}
		return token, nil
	}
}

// droplet is the label samples carry: the service puts its own instead, but
// people reading a spool or `--once` see whose they are.
func (a *Agent) droplet() string {
	if id := a.id.dropletID(); id != "" {
		return id
	}
	return a.host
}

// Run samples, ships and carries out orders until ctx ends, then lets what
// is under way come to a safe stop. The spool stays for the next run.
func (a *Agent) Run(ctx context.Context) error {
	defer a.close()
	if err := a.identify(ctx); err != nil {
		a.opts.Log.Info("not told which droplet this is; the token alone says it", "error", err)
	}
	a.opts.Log.Info("agent runs", "droplet", a.droplet(), "every", a.opts.Every, "server", a.opts.Server, "allowed", fmt.Sprint(a.opts.Allow))
	var wg sync.WaitGroup
	loops := []func(context.Context){a.sampleLoop, a.shipper.run, a.orderLoop, a.identifyLoop}
	if a.probe != nil {
		loops = append(loops, a.probe.run)
	}
	for _, loop := range loops {
		wg.Go(func() { loop(ctx) })
	}
	wg.Wait()
	a.opts.Log.Info("agent stops")
	return nil
}

func (a *Agent) close() {
	a.spool.close()
	a.executor.journal.close()
	for _, c := range []http.RoundTripper{a.opts.Transport, a.metadata.Transport} {
		if t, ok := c.(*http.Transport); ok {
			t.CloseIdleConnections()
		}
	}
}

func (a *Agent) identify(ctx context.Context) error {
	id, err := askMetadata(ctx, a.metadata, a.opts.MetadataURL)
	if err != nil {
		return err
	}
	a.id.setDroplet(id)
	return nil
}

// identifyLoop asks again where the first try found nobody: the metadata
// service may be later than the agent at boot.
func (a *Agent) identifyLoop(ctx context.Context) {
	for ctx.Err() == nil && a.id.dropletID() == "" {
		sleep(ctx, 5*time.Minute)
		if ctx.Err() == nil && a.identify(ctx) == nil {
			a.opts.Log.Info("now told which droplet this is", "droplet", a.droplet())
		}
	}
}

// sampleLoop takes a pass at every multiple of Every since the epoch, so
// that passes of all droplets fall together and their times compress away.
func (a *Agent) sampleLoop(ctx context.Context) {
	notes := teller{log: a.opts.Log}
	for {
		at := next(time.Now(), a.opts.Every)
		sleep(ctx, time.Until(at))
		if ctx.Err() != nil {
			return
		}
		now, err := a.pass(at)
		if err != nil {
			a.opts.Log.Error("pass not taken, or not kept on disk", "error", err)
		}
		notes.tell(now)
		if waiting, lost := a.spool.waiting(); lost > 0 {
			a.opts.Log.Error("passes lost: the spool was full or damaged", "lost", lost, "waiting", waiting)
		}
	}
}

// teller tells what was not so at the pass before, so that what stays is told
// once and what comes back is told again.
type teller struct {
	log  *slog.Logger
	said []string
}

func (t *teller) tell(notes []string) {
	for _, n := range notes {
		if !slices.Contains(t.said, n) {
			t.log.Warn(n)
		}
	}
	t.said = notes
}

// next is the first multiple of every after now.
func next(now time.Time, every time.Duration) time.Time {
	return time.UnixMilli(now.UnixMilli() / every.Milliseconds() * every.Milliseconds()).Add(every).UTC()
}

func (a *Agent) pass(at time.Time) ([]string, error) {
	p, notes, err := a.sampler.take(at, a.droplet())
	if err != nil {
		return nil, err
	}
	a.opts.Log.Debug("pass taken", "processes", len(p.Processes), "with_pss", withPSS(p))
	series, more := a.sampler.series(p)
	notes = append(notes, more...)
	body, err := encodeV2(series)
	if err != nil {
		return notes, err
	}
	return notes, a.spool.append(body)
}

// orderLoop asks for orders for as long as the agent runs, and takes up what
// a former life left.
func (a *Agent) orderLoop(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, e := range a.executor.journal.open() {
		wg.Go(func() { a.executor.resume(ctx, e) })
	}
	wait := &backoff.ExponentialBackOff{InitialInterval: time.Second, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: 15 * time.Second}
	wait.Reset()
	failing := ""
	for ctx.Err() == nil {
		list, err := a.orders.poll(ctx)
		if err != nil {
			if ctx.Err() == nil && failing != err.Error() {
				a.opts.Log.Warn("no orders to be had", "error", err)
				failing = err.Error()
			}
			sleep(ctx, wait.NextBackOff())
			continue
		}
		failing = ""
		wait.Reset()
		for _, o := range list {
			wg.Go(func() { a.executor.handle(ctx, o) })
		}
		if len(list) > 0 {
			sleep(ctx, time.Second) // until they are claimed, the service may offer them again
		}
	}
}

// Once takes a single pass without spool, server or token, for people who
// want to see what the agent sees. PSS is read whatever it costs.
func Once(o Options, at time.Time) (sample.Pass, []string, error) {
	o = withDefaults(o)
	reader := reader(o)
	r, err := reader.Read(at, func(procfs.Node, []float64) bool { return true })
	if err != nil {
		return sample.Pass{}, nil, err
	}
	label(&r.Pass, reader.Hostname())
	new(sample.Slots).Assign(&r.Pass)
	r.Pass.Sort()
	return r.Pass, r.Notes, nil
}

// reader returns a reader that may ask supervisord.
func reader(o Options) *procfs.Reader {
	r := procfs.New(o.Proc, o.Cgroup)
	r.Clock = threadTime
	r.Program = func(config string, pid int) string {
		if config == "" {
			config = o.SupervisorConfig
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		m, err := manager.DialSupervisor("", config)
		if err != nil {
			return ""
		}
		program, err := m.Program(ctx, pid)
		if err != nil {
			o.Log.Warn("cannot tell which supervisor program a worker is; it goes by its node name", "pid", pid, "error", err)
		}
		return program
	}
	return r
}

// realManagers reaches the managers of this machine.
type realManagers struct{ supervisorConfig string }

func (realManagers) systemd(ctx context.Context) (jobManager, error) { return manager.DialSystemd(ctx) }

func (m realManagers) supervisor(p place) (halfManager, error) {
	config := p.SupervisorConfig
	if config == "" {
		config = m.supervisorConfig
	}
	return manager.DialSupervisor(p.SupervisorURL, config)
}
