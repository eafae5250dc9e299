package store_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dropleak/dropleak/bot/store"
)

// cluster is one private PostgreSQL for all tests, on a unix socket.
var cluster = sync.OnceValues(startCluster)

var stopCluster = func() error { return nil }

func TestMain(m *testing.M) {
	code := m.Run()
	if err := stopCluster(); err != nil {
		fmt.Fprintln(os.Stderr, "stop postgres:", err)
		code = 1
	}
	os.Exit(code)
}

func startCluster() (socket string, err error) {
	dir, err := os.MkdirTemp("", "dropleak-pg")
	if err != nil {
		return "", err
	}
	bin := "/usr/lib/postgresql/15/bin/"
	if err := asPostgres("chown", "postgres", dir); err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	if err := asPostgres(bin+"initdb", "-D", data, "-A", "trust", "-N"); err != nil {
		return "", err
	}
	opts := "-c listen_addresses='' -c fsync=off -c max_connections=200 -c unix_socket_directories=" + dir
	if err := asPostgres(bin+"pg_ctl", "-D", data, "-w", "-o", opts, "-l", filepath.Join(dir, "log"), "start"); err != nil {
		return "", err
	}
	stopCluster = func() error {
		return joinErr(asPostgres(bin+"pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"), os.RemoveAll(dir))
	}
	return dir, nil
}

func joinErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// asPostgres runs a command as the user postgres, who alone may serve.
func asPostgres(args ...string) error {
	if args[0] != "chown" {
		args = append([]string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}, args...)
	}
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

var databases atomic.Int64

func freshPostgres(t *testing.T) string {
	t.Helper()
	dir, err := cluster()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprint("t", databases.Add(1))
	if err := asPostgres("createdb", "-h", dir, name); err != nil {
		t.Fatal(err)
	}
	q := url.Values{"host": {dir}, "user": {"postgres"}}
	return "postgres:///" + name + "?" + q.Encode()
}

func TestPostgresMustBeDurable(t *testing.T) {
	dsn := freshPostgres(t) + "&synchronous_commit=off"
	_, err := store.Open(t.Context(), dsn, store.Options{})
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("open with synchronous_commit=off: %v, want a refusal", err)
	}
}
