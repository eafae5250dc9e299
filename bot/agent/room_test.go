package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/testbed"
)

// rooms asks the shipped probe, for a process of 60 MiB resident and 40 MiB
// swapped, whether a fork has room below each root.
const rooms = `
import sys
import dropleak_probe as probe
probe.status = lambda *keys: [60 << 20, 40 << 20]
for root in sys.argv[1:]:
    print(probe.no_room(root))
`

// mib is so many bytes, as the kernel writes them.
func mib(n int) string { return strconv.Itoa(n<<20) + "\n" }

// TestRoomForAFork: a look is refused where the machine, or any cgroup above
// the process, has too little left for its fork. The kernel's files are
// written by the test: where tests run, memory is often counted by cgroups of
// version 1.
func TestRoomForAFork(t *testing.T) {
	t.Parallel()
	const leaf = "0::/system.slice/celery.service\n"
	const unit, slice = "system.slice/celery.service/memory.", "system.slice/memory."
	const noStat = "anon 4096\n"
	dir := testbed.Folder(t)
	var roots []string
	table := []struct {
		name      string
		available int // MiB
		group     string
		files     map[string]string // below /sys/fs/cgroup
		want      string
	}{
		{"the machine is full", 199, leaf, nil, "the machine has 199 MiB left"},
		{"just enough", 200, leaf, nil, ""},
		{"no cgroup of version 2", 200, "4:memory:/celery\n1:name=systemd:/celery\n", nil, ""},
		{"no limit", 200, leaf, map[string]string{unit + "max": "max\n", unit + "high": "max\n", unit + "stat": noStat, unit + "current": mib(9000)}, ""},
		{"a limit with 1 MiB too little", 900, leaf, map[string]string{unit + "max": mib(400), unit + "high": "max\n", unit + "stat": noStat, unit + "current": mib(137)}, "its cgroup has 263 MiB left"},
		{"a limit with just enough", 900, leaf, map[string]string{unit + "max": mib(400), unit + "high": "max\n", unit + "stat": noStat, unit + "current": mib(136)}, ""},
		{"its inactive files are given up", 900, leaf, map[string]string{unit + "max": mib(400), unit + "high": "max\n", unit + "stat": "anon 1\ninactive_file " + mib(200), unit + "current": mib(336)}, ""},
		{"throttled before", 900, leaf, map[string]string{unit + "max": mib(800), unit + "high": mib(300), unit + "stat": noStat, unit + "current": mib(100)}, "its cgroup has 200 MiB left"},
		{"throttled already", 900, leaf, map[string]string{unit + "max": "max\n", unit + "high": mib(300), unit + "stat": noStat, unit + "current": mib(310)}, "its cgroup has 0 MiB left"},
		{"a limit above", 900, leaf, map[string]string{unit + "max": "max\n", unit + "high": "max\n", unit + "stat": noStat, unit + "current": mib(100),
			slice + "max": mib(500), slice + "high": "max\n", slice + "stat": noStat, slice + "current": mib(300)}, "its cgroup has 200 MiB left"},
		{"in a container", 900, "0::/\n", map[string]string{"memory.max": mib(256), "memory.high": "max\n", "memory.stat": noStat, "memory.current": mib(110)}, "its cgroup has 146 MiB left"},
		{"outside of its namespace", 900, "0::/../celery\n", nil, ""},
	}
	for n, tt := range table {
		root := filepath.Join(dir, strconv.Itoa(n))
		put := func(name, text string) {
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
			must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
		}
		put("proc/meminfo", fmt.Sprintf("MemTotal: 4000000 kB\nMemAvailable: %d kB\n", tt.available<<10))
		put("proc/self/cgroup", tt.group)
		for name, text := range tt.files {
			put("sys/fs/cgroup/"+name, text)
		}
		roots = append(roots, root)
	}
	cmd := exec.Command("/usr/bin/python3", append([]string{"-c", rooms}, roots...)...)
	probe, err := filepath.Abs("../../configs/celery")
	must(t, err)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+probe, "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(lines) != len(table) {
		t.Fatalf("%v\n%s", err, out)
	}
	for n, tt := range table {
		if got := lines[n]; tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
