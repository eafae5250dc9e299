package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/dropleak/dropleak/bot/agent"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// Who and where.
const (
	channel = "C0OPS"
	anna    = "U0ANNA"  // may approve
	carla   = "U0CARLA" // may not
	leaker  = "mailer"

	readerToken, executorToken = "dop_v1_demo_reader", "dop_v1_demo_executor"
)

// scale is how many seconds one second counts as: twenty minutes. A leak of
// 1.5 MiB a second is then 4.5 MiB an hour, and six hours pass in 18 seconds.
const scale = 1200

// every is how often the agent looks: its shortest interval.
const every = time.Second

// world is everything the demo starts.
type world struct {
	o     Options
	dir   string
	began time.Time

	cloud    *dosim.Sim
	cloudURL string
	api      *http.Server
	slack    *slacksim.Sim
	tap      *tap
	super    *child
	droplet  *droplet
	service  *service
	token    string

	broken chan error // what ended that should not have
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// open starts everything; what it started is stopped again when it fails.
func open(ctx context.Context, o Options) (*world, error) {
	if err := playable(); err != nil {
		return nil, err
	}
	w := &world{o: o, began: time.Now(), broken: make(chan error, 4)}
	ctx, w.cancel = context.WithCancel(ctx)
	for _, step := range []func(context.Context) error{w.makeDir, w.startCloud, w.startSlack, w.startWorkers, w.makeToken, w.startService, w.startAgent} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	w.loops.Go(func() { w.observe(ctx) })
	return w, nil
}

// close stops everything and removes what it wrote.
func (w *world) close() error {
	w.cancel()
	w.loops.Wait()
	var errs []error
	if w.service != nil {
		w.service.stop()
	}
	if w.super != nil {
		w.super.stop(stopSeconds * time.Second)
	}
	if w.slack != nil {
		errs = append(errs, w.slack.Close())
	}
	if w.api != nil {
		errs = append(errs, w.api.Close())
	}
	switch {
	case w.dir == "":
	case w.o.Keep != "":
		w.say("logs, configuration and database stay in %s", w.dir)
	default:
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}

func (w *world) makeDir(context.Context) (err error) {
	if w.o.Keep == "" {
		w.dir, err = os.MkdirTemp("", "dropleak-demo-")
		return err
	}
	if w.dir, err = filepath.Abs(w.o.Keep); err != nil {
		return err
	}
	if entries, err := os.ReadDir(w.dir); err == nil && len(entries) > 0 {
		w.dir = ""
		return fmt.Errorf("keep the demo in %s: the directory is not empty", w.o.Keep)
	}
	return os.MkdirAll(w.dir, 0o700)
}

func (w *world) write(name, text string) (path string, err error) {
	path = filepath.Join(w.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// startCloud starts the simulated DigitalOcean, and beside its API the
// address that tells a droplet its own id.
func (w *world) startCloud(context.Context) error {
	w.cloud = dosim.New(dosim.Options{TimeScale: scale, Durations: map[string]time.Duration{"snapshot": 90 * time.Minute},
		OnAction: func(a dosim.Action) { w.service.onAction(a) }}).Kind()
	w.cloud.AddToken(readerToken, dosim.ReaderScopes...)
	w.cloud.AddToken(executorToken, dosim.ExecutorScopes...)
	if w.o.Fault == ErroredSnapshot {
		w.cloud.FailActions("snapshot", 1)
	}
	w.service = &service{w: w}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metadata/v1/id", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, dropletID) })
	mux.Handle("/", w.service.before(w.cloud))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the simulated DigitalOcean: %w", err)
	}
	w.cloudURL = "http://" + l.Addr().String()
	w.api = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := w.api.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.broken <- fmt.Errorf("the simulated DigitalOcean: %w", err)
		}
	}()
	return nil
}

// OnLoopback refuses an address of the page that others could reach: whoever
// opens it is Anna.
func OnLoopback(listen string) error {
	if listen == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("the page's address: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("the page is for this machine alone, and %s can be reached by others: --listen takes an address on loopback, such as 127.0.0.1:0", listen)
	}
	return nil
}

func (w *world) startSlack(context.Context) error {
	if err := OnLoopback(w.o.Listen); err != nil {
		return err
	}
	w.slack = slacksim.New(slacksim.Options{Hints: []string{"/leaks", "/leaks report", "/leaks worker " + leaker, "/leaks restart " + leaker}}).Kind()
	w.slack.SetBanner(fmt.Sprintf("Simulated: Slack (this page), DigitalOcean with its snapshots, supervisord, and that %s is a droplet of 1 GiB. "+
		"Real: the service, the agent, and processes that play Celery workers, of which %s really leaks. One second counts as %d minutes in forecasts and charts; the clock of a run is the real one.",
		dropletName, leaker, scale/60))
	err := w.slack.Start(w.o.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken, perhaps by another demo; --listen 127.0.0.1:0 takes a free port: %w", w.o.Listen, err)
	}
	return err
}

func (w *world) startWorkers(context.Context) error {
	s := supervisordSettings{Dir: w.dir, Fault: w.o.Fault}
	config, err := w.write(filepath.Base(s.config()), s.file())
	if err != nil {
		return err
	}
	settings, err := json.Marshal(s)
	if err != nil {
		return err
	}
	w.super, err = again([]string{"supervisord", "-n", "-c", config},
		[]string{envPart + "=" + partSupervisord, envSettings + "=" + string(settings)}, filepath.Join(w.dir, "supervisord.log"))
	if err != nil {
		return err
	}
	w.droplet = newDroplet(w.super.pid())
	return nil
}

// makeToken creates the agent's token, as "dropleak token create" does.
func (w *world) makeToken(ctx context.Context) (err error) {
	st, err := w.store(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	_, secret, err := hub.Create(ctx, st, hub.Token{Name: dropletName, Kind: hub.Agent, Droplet: strconv.Itoa(dropletID)})
	if err != nil {
		return err
	}
	w.token, err = w.write("agent.token", secret+"\n")
	return err
}

// store opens the service's store beside it.
func (w *world) store(ctx context.Context) (*store.Store, error) {
	return store.Open(ctx, "sqlite:"+filepath.Join(w.dir, "data"), store.Options{Beside: true})
}

func (w *world) startAgent(ctx context.Context) error {
	w.tap = &tap{}
	var id [16]byte
	rand.Read(id[:]) // never fails
	machine, err := w.write("machine-id", hex.EncodeToString(id[:])+"\n")
	if err != nil {
		return err
	}
	nothing := filepath.Join(w.dir, "cgroup")
	if err := os.Mkdir(nothing, 0o700); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(w.dir, "agent.log"))
	if err != nil {
		return err
	}
	a, err := agent.New(agent.Options{Server: "http://" + w.service.listen, TokenFile: w.token, Spool: filepath.Join(w.dir, "spool"), Every: every,
		Allow: []order.Unit{{Kind: order.SupervisorProgram, Name: leaker}}, MetadataURL: w.cloudURL + "/metadata/v1/id",
		Proc: w.droplet, Cgroup: os.DirFS(nothing), Disk: func() (float64, error) { return diskGB * 1e9, nil }, MachineID: machine, Transport: w.tap, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	w.loops.Go(func() {
		defer log.Close()
		if err := a.Run(ctx); err != nil {
			w.broken <- fmt.Errorf("the agent: %w", err)
		}
	})
	return nil
}

// observe lets the simulated DigitalOcean see the droplet's memory.
func (w *world) observe(ctx context.Context) {
	var seen dosim.Recorder
	tick := time.NewTicker(every)
	defer tick.Stop()
	seen.Observe(time.Now(), w.droplet.available(), total)
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}, MemoryMiB: total / mib, UsedGiB: diskGB, Memory: seen.Memory})
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.super.done:
			w.broken <- errors.New("the demo's supervisord ended; its workers with it")
			return
		case <-tick.C:
			seen.Observe(time.Now(), w.droplet.available(), total)
		}
	}
}
