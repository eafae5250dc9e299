package testbed

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// InfluxServer is an InfluxDB 1.x of the test's own.
type InfluxServer struct {
	*Process
	URL      string // without a path
	Collectd string // host:port over UDP, where it listens as a collectd does; database collectd
}

// Influx starts an InfluxDB that lives as long as the test and listens as a collectd does, with further lines for the
// section [http] of its configuration, such as auth-enabled = true, and what follows it.
func Influx(t testing.TB, http string) *InfluxServer {
	t.Helper()
	return influx(t, http, "[[collectd]]\nenabled = true\nbind-address = \"127.0.0.1:25826\"\n")
}

// InfluxWith starts an InfluxDB with further sections of configuration, of which the section [[collectd]] listens on port
// 25826: on a free one instead.
func InfluxWith(t testing.TB, sections string) *InfluxServer {
	t.Helper()
	return influx(t, "", sections)
}

func influx(t testing.TB, http, sections string) *InfluxServer {
	t.Helper()
	dir := Folder(t)
	config := filepath.Join(dir, "influxdb.conf")
	server := &InfluxServer{}
	bin := program(t, "influxd")
	server.Process = onFreePort(t, func(port int) (*Process, func() error, error) {
		listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		server.URL, server.Collectd = "http://"+listen, listen // one over TCP, the other over UDP
		write(t, config, fmt.Sprintf("reporting-enabled = false\nbind-address = \"127.0.0.1:0\"\n[meta]\ndir = %q\n[data]\ndir = %q\nwal-dir = %q\n"+
			"[http]\nbind-address = %q\n%s\n%sbatch-timeout = \"500ms\"\n", filepath.Join(dir, "meta"), filepath.Join(dir, "data"),
			filepath.Join(dir, "wal"), listen, http, strings.ReplaceAll(sections, "127.0.0.1:25826", listen)))
		p, err := launch("influxd", dir, exec.Command(bin, "-config", config))
		return p, answers(t.Context(), server.URL+"/ping"), err
	})
	return server
}
