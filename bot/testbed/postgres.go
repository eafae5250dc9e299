package testbed

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that makes databases
)

// PostgresServer is a PostgreSQL cluster that all tests of a test binary share.
type PostgresServer struct {
	Port   int    // on 127.0.0.1
	Socket string // folder of its unix socket
	User   string // its superuser, who needs no password on loopback
}

// DSN names a database of the cluster.
func (p *PostgresServer) DSN(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(p.User), Host: "127.0.0.1:" + strconv.Itoa(p.Port), Path: database}
	return u.String() + "?sslmode=disable"
}

// keeper runs PostgreSQL until its standard input closes, which happens however the test binary ends, and then removes
// the cluster's folder. When PostgreSQL ends by itself the folder stays, for another try.
const keeper = `set -u
exec 3<&0 </dev/null
"$1" -D "$2/data" -k "$2" -p "$3" -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off \
  -c synchronous_commit=on -c max_connections=200 -c shared_buffers=32MB 3<&- &
server=$!
trap '' TERM
(read -r _ <&3; touch "$2/over"; kill -INT $server) &
wait $server
[ -e "$2/over" ] && exec rm -rf "$2"
kill -KILL $!`

var cluster struct {
	sync.Once
	server *PostgresServer
	stdin  *os.File // held open for as long as the cluster is wanted
	err    error
}

// Postgres returns the cluster of this test binary, started when first asked for. It ends with the binary. Data is not
// synced to disk, which costs only what a crash of the machine would cost a test; commits are synchronous all the same.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	initdb := program(t, "initdb", "/usr/lib/postgresql/*/bin")
	cluster.Do(func() { cluster.server, cluster.err = startCluster(initdb) })
	if cluster.err != nil {
		t.Fatal(cluster.err)
	}
	return cluster.server
}

func startCluster(initdb string) (*PostgresServer, error) {
	dir, err := os.MkdirTemp("", "bed-pg-")
	if err != nil {
		return nil, err
	}
	var owner *syscall.Credential // PostgreSQL refuses to run as root
	if os.Geteuid() == 0 {
		if owner, err = credential("postgres"); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, err
		}
	}
	server := &PostgresServer{Socket: dir, User: "dropleak"}
	prepare := exec.Command(initdb, "-D", filepath.Join(dir, "data"), "-U", server.User, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	prepare.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	prepare.Dir = dir
	if said, err := prepare.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a PostgreSQL cluster: %w\n%s", err, said)
	}
	bin := filepath.Join(filepath.Dir(initdb), "postgres")
	for range 3 { // somebody else may take the port first
		if err = server.start(bin, dir, owner); err == nil {
			return server, nil
		}
	}
	return nil, err
}

func (p *PostgresServer) start(bin, dir string, owner *syscall.Credential) (err error) {
	if p.Port, err = freePort(); err != nil {
		return err
	}
	stdin, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	cmd := exec.Command("bash", "-c", keeper, "keeper", bin, dir, strconv.Itoa(p.Port))
	cmd.Stdin, cmd.Dir = stdin, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	process, err := launch("postgres", dir, cmd)
	if err != nil {
		return err
	}
	ready := func() error { return execute(p.DSN("postgres"), "select 1") }
	if err := process.await(context.Background(), ready); err != nil {
		hold.Close()
		<-process.Exited()
		return err
	}
	cluster.stdin = hold
	return nil
}

// credential is that of a user of the machine, without further groups.
func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("run a program as %s: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

var databases atomic.Int64

// Database makes an empty database on the shared cluster, which is dropped when the test ends, and returns its DSN.
func Database(t testing.TB) string {
	t.Helper()
	server := Postgres(t)
	name := fmt.Sprintf("bed_%d", databases.Add(1))
	if err := execute(server.DSN("postgres"), "create database "+name); err != nil {
		t.Fatalf("make database %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := execute(server.DSN("postgres"), "drop database "+name+" with (force)"); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	return server.DSN(name)
}

func execute(dsn, statement string) error {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(statement)
	return err
}
