package shell

import (
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector/procfs"
	"github.com/dropleak/dropleak/detector/sample"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// scene is a short answer, as the script writes it.
const scene = `dropleak-ssh 1
F proc/stat
 cpu 1
 btime 1795300000
F proc/meminfo
 MemTotal: 1000 kB
 MemAvailable: 500 kB
F proc/sys/kernel/random/boot_id
 b-1
F proc/sys/kernel/hostname
 web-1
O pagesize PAGE
C 1 systemd
C 7 a (b) c
C 20 python3
P 1 0 S 4000
P 7 1 S 8000
P 20 7 S 90000 /usr/bin/python3 /usr/bin/celery -A shop worker -n mail@%h -c 2
P 21 20 S 80000 [celeryd: mail@web-1:ForkPoolWorker-1]
P 30 1 S 80000 /usr/bin/celery -A gone worker
F proc/20/stat
 20 (python3) S 7 20 20 0 -1 4194304 1 0 0 0 100 50 0 0 20 0 1 0 5000 0 22500
F proc/20/statm
 30000 22500 1 1 0 1 0
D proc/20/smaps_rollup
D proc/20/environ
F proc/21/stat
 21 (a
 b) S 20 20 20 0 -1 4194304 1 0 0 0 10 0 0 0 20 0 1 0 6000 0 20000
F proc/21/statm
 30000 20000 1 1 0 1 0
N something was left out
E
`

func answer() string {
	return strings.ReplaceAll(scene, "PAGE", strconv.Itoa(os.Getpagesize()))
}

func TestRead(t *testing.T) {
	a, err := Read([]byte(answer()))
	if err != nil {
		t.Fatal(err)
	}
	if a.BootID() != "b-1" {
		t.Errorf("boot id %q", a.BootID())
	}
	r, err := NewDroplet(Options{Address: "web-1:22", User: "u"}).Read(a, noon)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Nodes) != 1 || r.Nodes[0].Worker != "mail@web-1" || r.Nodes[0].App != "shop" || len(r.Nodes[0].Members) != 2 || r.Nodes[0].Pool != "prefork" {
		t.Fatalf("nodes %+v", r.Nodes)
	}
	if want := time.Unix(1795300050, 0).UTC(); !r.Nodes[0].Main().Start.Equal(want) || r.Nodes[0].Main().CPU != 1.5 {
		t.Errorf("main %+v, want its start at %v", r.Nodes[0].Main(), want)
	}
	for _, want := range []string{"no PSS and USS: reading smaps_rollup of mail@web-1", "which supervisor program mail@web-1", "something was left out"} {
		if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, want) }) {
			t.Errorf("notes %q lack %q", r.Notes, want)
		}
	}
	if !slices.ContainsFunc(r.Pass.Others, func(o sample.Other) bool { return o.Name == "a (b) c" && o.Memory == 8000<<10 }) {
		t.Errorf("others %+v", r.Pass.Others)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "no end",
		"Last login: today\n":                 "it is not dropleak-ssh",
		"dropleak-ssh 2\nE\n":                 "speaks 1",
		"dropleak-ssh 1\n":                    "no end",
		"dropleak-ssh 1\nE\nP 1 0 S 4\n":      "after its end",
		"dropleak-ssh 1\n what\nE\n":          "content of no file",
		"dropleak-ssh 1\nP 1 0 S\nE\n":        "not a line of ps",
		"dropleak-ssh 1\nP x 0 S 4\nE\n":      "not a line of ps",
		"dropleak-ssh 1\nP 1 0 S -4\nE\n":     "not a line of ps",
		"dropleak-ssh 1\nX\nE\n":              "means nothing",
		"dropleak-ssh 1\nO pagesize 7\nE\n":   "pages",
		strings.TrimSuffix(answer(), "E\n"):   "no end",
		strings.TrimSuffix(answer(), "\nE\n"): "no end",
	} {
		if _, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want an error with %q", text, err, want)
		}
	}
}

func TestCommandWords(t *testing.T) {
	if got, err := command([]string{"inspect", "systemd:celery@mail.service"}); err != nil || got != "sh -s -- inspect systemd:celery@mail.service" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "a b", "a;b", "$(x)", "`x`", "a\nb", "a'b", "../x", "ä", `a\b`, "a*", strings.Repeat("x", 300)} {
		if got, err := command([]string{"inspect", bad}); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

// FuzzRead: whatever a far end says, what is made of it can be read by the
// reader of /proc, or is refused.
func FuzzRead(f *testing.F) {
	f.Add([]byte(answer()))
	f.Add([]byte("dropleak-ssh 1\nF proc/1/../x\n a\nD proc/9/stat\nP 9 9 S 1 celery worker\nE\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := Read(raw)
		if err != nil {
			return
		}
		if _, err := fs.ReadDir(a.Proc(), "."); err != nil {
			t.Errorf("list: %v", err)
		}
		r, err := NewDroplet(Options{}).Read(a, noon)
		if err != nil {
			return
		}
		for _, p := range r.Pass.Processes {
			if p.PID <= 0 || p.Worker == "" || p.RSS < 0 {
				t.Errorf("process %+v", p)
			}
		}
		_ = slices.ContainsFunc(r.Nodes, func(n procfs.Node) bool { return a.closed(n.Main().PID) })
	})
}
