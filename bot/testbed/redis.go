package testbed

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisServer is a redis-server of the test's own, without persistence.
type RedisServer struct {
	*Process
	Addr   string // host:port on loopback
	Socket string // path of its unix socket
}

// URL is the broker URL that Celery takes.
func (r *RedisServer) URL() string { return "redis://" + r.Addr + "/0" }

// Redis starts a redis-server that lives as long as the test.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	dir := Folder(t)
	server := &RedisServer{Socket: filepath.Join(dir, "redis.sock")}
	bin := program(t, "redis-server")
	server.Process = onFreePort(t, func(port int) (*Process, func() error, error) {
		server.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		p, err := launch("redis-server", dir, exec.Command(bin,
			"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--unixsocket", server.Socket,
			"--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no"))
		return p, func() error { return ping(server.Addr) }, err
	})
	return server
}

// ping asks a redis server whether it is ready to serve.
func ping(addr string) error {
	reply, err := redisCommand(addr, "PING")
	if err == nil && reply != "+PONG" {
		err = fmt.Errorf("redis answered %q to PING", reply)
	}
	return err
}

// Pending returns how many messages wait in a queue.
func (r *RedisServer) Pending(t testing.TB, queue string) int {
	t.Helper()
	reply, err := redisCommand(r.Addr, "LLEN "+queue)
	if err != nil {
		t.Fatalf("length of queue %s: %v", queue, err)
	}
	n, err := strconv.Atoi(strings.TrimPrefix(reply, ":"))
	if err != nil {
		t.Fatalf("length of queue %s: redis answered %q", queue, reply)
	}
	return n
}

// redisCommand sends one command in redis's inline form and returns the first line of the answer.
func redisCommand(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSuffix(line, "\r\n"), err
}

// HangUp ends every client's connection, as a broker does that restarts.
func (r *RedisServer) HangUp(t testing.TB) {
	t.Helper()
	for _, kind := range []string{"normal", "pubsub"} {
		if reply, err := redisCommand(r.Addr, "CLIENT KILL TYPE "+kind); err != nil || !strings.HasPrefix(reply, ":") {
			t.Fatalf("hanging up on %s clients: redis answered %q, %v", kind, reply, err)
		}
	}
}
