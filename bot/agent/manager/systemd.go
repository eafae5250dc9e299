package manager

import (
	"context"
	"errors"
	"fmt"
	"math"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// Systemd is the system's own manager, over D-Bus.
type Systemd struct{ conn *dbus.Conn }

// DialSystemd connects to systemd: over the system bus, where polkit decides
// what we may, or, as root without a bus, over systemd's private socket.
func DialSystemd(ctx context.Context) (*Systemd, error) {
	conn, err := dbus.NewWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return &Systemd{conn}, nil
}

// Close ends the connection.
func (s *Systemd) Close() { s.conn.Close() }

// State reads a unit's state and settings.
func (s *Systemd) State(ctx context.Context, unit string) (State, error) {
	p, err := s.conn.GetUnitPropertiesContext(ctx, unit)
	if err != nil {
		return State{}, fmt.Errorf("read unit %s: %w", unit, err)
	}
	if p["LoadState"] == "not-found" {
		return State{}, fmt.Errorf("read unit %s: %w", unit, ErrNoUnit)
	}
	svc, err := s.conn.GetUnitTypePropertiesContext(ctx, unit, "Service")
	if err != nil {
		return State{}, fmt.Errorf("read service %s: %w", unit, err)
	}
	return systemdState(p, svc), nil
}

func systemdState(unit, svc map[string]any) State {
	active, _ := unit["ActiveState"].(string)
	sub, _ := unit["SubState"].(string)
	st := State{
		Running:     active == "active" && sub != "exited",
		Transient:   active == "activating" || active == "deactivating" || active == "reloading" || jobID(unit) != 0,
		Word:        active + " (" + sub + ")",
		StopTimeout: Unknown,
	}
	if pid, ok := svc["MainPID"].(uint32); ok {
		st.PID = int(pid)
	}
	if usec, ok := svc["TimeoutStopUSec"].(uint64); ok {
		st.StopTimeout = Forever
		if usec != math.MaxUint64 {
			st.StopTimeout = time.Duration(usec) * time.Microsecond
		}
	}
	if sig, ok := svc["KillSignal"].(int32); ok {
		st.StopSignal = signalName(int(sig))
	}
	st.KillMode, _ = svc["KillMode"].(string)
	st.AutoRestart, _ = svc["Restart"].(string)
	// on-success would do after a clean exit; an exit code of Celery's own
	// would not, and then the worker stays down.
	st.StartsAgain = st.AutoRestart == "always"
	if !st.StartsAgain {
		st.Change = "Restart=always in the unit's [Service] section (now Restart=" + st.AutoRestart + ")"
	}
	return st
}

// jobID reads the pending job, a structure of id and path; 0 is none.
func jobID(unit map[string]any) uint32 {
	if job, ok := unit["Job"].([]any); ok && len(job) > 0 {
		id, _ := job[0].(uint32)
		return id
	}
	return 0
}

func signalName(n int) string {
	switch s := syscall.Signal(n); s {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGQUIT:
		return "SIGQUIT"
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGHUP:
		return "SIGHUP"
	case syscall.SIGKILL:
		return "SIGKILL"
	case syscall.SIGUSR1:
		return "SIGUSR1"
	case syscall.SIGUSR2:
		return "SIGUSR2"
	default:
		return fmt.Sprintf("signal %d", n)
	}
}

// Restart stops and starts a unit as one job and waits for its end. Should
// the caller vanish, systemd still finishes both halves.
func (s *Systemd) Restart(ctx context.Context, unit string) error {
	done := make(chan string, 1)
	_, err := s.conn.RestartUnitContext(ctx, unit, "replace", done)
	return s.await(ctx, "restart", unit, done, err)
}

// Start starts a unit and waits until it is up. One that runs is left alone.
func (s *Systemd) Start(ctx context.Context, unit string) error {
	done := make(chan string, 1)
	_, err := s.conn.StartUnitContext(ctx, unit, "replace", done)
	return s.await(ctx, "start", unit, done, err)
}

// Terminate sends TERM to the unit's main process. systemd sees it end by
// itself and goes by Restart=.
func (s *Systemd) Terminate(ctx context.Context, unit string) error {
	if err := s.conn.KillUnitWithTarget(ctx, unit, dbus.Main, int32(syscall.SIGTERM)); err != nil {
		return fmt.Errorf("terminate the main process of unit %s: %w", unit, explain(err))
	}
	return nil
}

func (s *Systemd) await(ctx context.Context, verb, unit string, done <-chan string, err error) error {
	if err != nil {
		return fmt.Errorf("%s unit %s: %w", verb, unit, explain(err))
	}
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("%s unit %s: %w: systemd's job ended as %q; journalctl -u %s says why", verb, unit, ErrNotStarted, result, unit)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s unit %s: %w", verb, unit, ctx.Err())
	}
}

// explain turns systemd's names for the two usual refusals into words.
func explain(err error) error {
	var e godbus.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Name {
	case "org.freedesktop.systemd1.NoSuchUnit":
		return fmt.Errorf("%w: %w", ErrNoUnit, err)
	case "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "org.freedesktop.DBus.Error.AccessDenied":
		return fmt.Errorf("polkit does not allow it; name the unit in the agent's polkit rule: %w", err)
	}
	return err
}
