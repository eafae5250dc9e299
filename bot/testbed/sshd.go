package testbed

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SSHServer is an sshd of the test's own: own host key, own port, one key that may log in as whoever runs the test. It
// sees folders of its own in the place of /etc/dropleak, /etc/supervisor,
// /usr/local/sbin and /var/lib/dropleak-ssh. The user's home is a folder of its
// own too: bash reads ~/.bashrc before each command that sshd runs, and what a
// developer keeps there may wait.
type SSHServer struct {
	*Process
	Addr       string // host:port on loopback
	User       string
	KeyFile    string // of the client
	KnownHosts string // with the server's key
	Etc        string // what it sees as /etc/dropleak
	Supervisor string // what it sees as /etc/supervisor
	Memory     string // what it sees as /var/lib/dropleak-ssh
	Sbin       string // what it sees as /usr/local/sbin
	dir        string
}

// sshdStart gives the server its own folders. Their places stay behind, empty.
const sshdStart = `set -e
mkdir -p /run/sshd /etc/dropleak /etc/supervisor /var/lib/dropleak-ssh
mount --bind "$1/etc" /etc/dropleak
mount --bind "$1/supervisor" /etc/supervisor
mount --bind "$1/memory" /var/lib/dropleak-ssh
mount --bind "$1/sbin" /usr/local/sbin
exec "$2" -D -e -f "$1/sshd_config"`

// SSHD starts an sshd. The options are those of the client's line in authorized_keys, such as command="…"; empty: the
// key may do all. It needs root.
func SSHD(t testing.TB, options string) *SSHServer {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("an sshd with folders of its own needs root: run the tests with sudo")
	}
	dir := Folder(t)
	s := &SSHServer{User: "root", dir: dir, KeyFile: filepath.Join(dir, "id"), KnownHosts: filepath.Join(dir, "known_hosts"), Etc: filepath.Join(dir, "etc"), Supervisor: filepath.Join(dir, "supervisor"), Memory: filepath.Join(dir, "memory"), Sbin: filepath.Join(dir, "sbin")}
	for _, folder := range []string{s.Etc, s.Supervisor, s.Memory, s.Sbin, filepath.Join(dir, "home")} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.NewKey(t, "id")
	s.NewKey(t, "host")
	s.Authorize(t, options)
	bin := program(t, "sshd")
	s.Process = onFreePort(t, func(port int) (*Process, func() error, error) {
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		write(t, filepath.Join(dir, "sshd_config"), s.config(port))
		cmd := exec.Command("sh", "-c", sshdStart, "sh", dir, bin)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		p, err := launch("sshd", dir, cmd)
		return p, s.answers, err
	})
	s.Know(t)
	return s
}

func (s *SSHServer) config(port int) string {
	return fmt.Sprintf(`Port %d
ListenAddress 127.0.0.1
HostKey %[2]s/host
PidFile none
AuthorizedKeysFile %[2]s/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
SetEnv HOME=%[2]s/home
`, port, s.dir)
}

// NewKey makes a new key pair, in the place of one of that name: "host" is the server's, at its next start.
func (s *SSHServer) NewKey(t testing.TB, name string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	for _, old := range []string{path, path + ".pub"} {
		if err := os.Remove(old); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if said, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, said)
	}
}

// Authorize lets the client's key in, with options before it.
func (s *SSHServer) Authorize(t testing.TB, options string) {
	t.Helper()
	if options != "" {
		options += " "
	}
	write(t, filepath.Join(s.dir, "authorized_keys"), options+s.public(t, "id")+"\n")
}

// Know writes the server's key into [SSHServer.KnownHosts].
func (s *SSHServer) Know(t testing.TB) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.KnownHosts, fmt.Sprintf("[%s]:%s %s\n", host, port, s.public(t, "host")))
}

// public is a public key as "TYPE BASE64".
func (s *SSHServer) public(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name+".pub"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text))[:2], " ")
}

func (s *SSHServer) answers() error {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	hello := make([]byte, 4)
	if _, err := conn.Read(hello); err != nil || string(hello) != "SSH-" {
		return fmt.Errorf("sshd said %q: %v", hello, err)
	}
	return nil
}
