package testbed

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// Collectd starts a collectd with the given configuration (that of its plugins) on a host of the given name, which reads
// every second, and lives as long as the test. It listens nowhere unless the configuration says so.
func Collectd(t testing.TB, host, config string) *Process {
	t.Helper()
	dir := Folder(t)
	path := filepath.Join(dir, "collectd.conf")
	write(t, path, fmt.Sprintf("Hostname %q\nFQDNLookup false\nBaseDir %q\nPIDFile %q\nInterval 1\nLoadPlugin logfile\n<Plugin logfile>\n"+
		"  File STDERR\n</Plugin>\n%s", host, dir, filepath.Join(dir, "collectd.pid"), config))
	return Start(t, "collectd", dir, exec.Command(program(t, "collectd"), "-f", "-C", path))
}
