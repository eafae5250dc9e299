package testbed

import (
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// AlertmanagerServer is an Alertmanager of the test's own.
type AlertmanagerServer struct {
	*Process
	URL string // without a path
}

// Alertmanager starts Debian's Alertmanager, alone and with a configuration (its YAML); it lives as long as the test.
func Alertmanager(t testing.TB, text string) *AlertmanagerServer {
	t.Helper()
	dir := Folder(t)
	config := filepath.Join(dir, "alertmanager.yml")
	write(t, config, text)
	server := &AlertmanagerServer{}
	bin := program(t, "prometheus-alertmanager")
	server.Process = onFreePort(t, func(port int) (*Process, func() error, error) {
		listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		server.URL = "http://" + listen
		p, err := launch("alertmanager", dir, exec.Command(bin, "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"),
			"--web.listen-address="+listen, "--cluster.listen-address="))
		return p, answers(t.Context(), server.URL+"/-/ready"), err
	})
	return server
}
