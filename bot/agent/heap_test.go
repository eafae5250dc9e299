package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/procfs"
)

func TestReadHeap(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"whole", `{"k":"look","since":1763850000.5}` + "\n" + `{"k":"types","rows":[["app.A",5,2],["b\nc",1,0]]}` + "\n" + `{"k":"end"}`,
			"types app.A 5 2, types b?c 1 0; since 1763850000", ""},
		{"first", `{"k":"look","since":0}` + "\n" + `{"k":"end"}`, "; since ", ""},
		{"refused", `{"k":"refused","text":"no room"}`, "; since refused no room", ""},
		{"cut short", `{"k":"types","rows":[["app.A",5,2]]}` + "\n" + `{"k":"cyc`, "types app.A 5 2; since ", "does not speak clearly"},
		{"ended early", `{"k":"types","rows":[["app.A",5,2]]}`, "types app.A 5 2; since ", "cut short"},
		{"counted by another look", `{"k":"look","since":9.5}` + "\n" + `{"k":"types","since":0,"rows":[["a",5,0]]}` + "\n" + `{"k":"files","since":9.5,"rows":[["b",1,1]]}` +
			"\n" + `{"k":"atoms","since":7,"rows":[["c",1,1]]}` + "\n" + `{"k":"chain","rows":[["d",1,0]]}` + "\n" + `{"k":"end"}`,
			"types first a 5 0, files b 1 1, atoms@7 c 1 1, chain d 1 0; since 9", ""},
		{"no rows", `{"k":"types","rows":[]}` + "\n" + `{"k":"end"}`, "; since ", ""},
		{"a row too short", `{"k":"types","rows":[["x"]]}`, "; since ", "clearly"},
		{"a row too long", `{"k":"types","rows":[["x",1,2,3]]}`, "; since ", "clearly"},
		{"another tongue", "GET / HTTP/1.1\r\n", "; since ", "clearly"},
	} {
		out := &order.Heap{PID: 7}
		err := readHeap(strings.NewReader(tt.in), out)
		var rows []string
		for _, p := range out.Parts {
			name := p.Name
			if p.First {
				name += " first"
			}
			if !p.Since.IsZero() {
				name += fmt.Sprintf("@%d", p.Since.Unix())
			}
			for _, r := range p.Rows {
				rows = append(rows, fmt.Sprintf("%s %s %g %g", name, r.What, r.Count, r.Grown))
			}
		}
		got := strings.Join(rows, ", ") + "; since "
		if !out.Since.IsZero() {
			got += fmt.Sprint(out.Since.Unix())
		}
		if out.Refused != "" {
			got += "refused " + out.Refused
		}
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func FuzzReadHeap(f *testing.F) {
	f.Add(`{"k":"types","rows":[["app.A",5,2]]}` + "\n" + `{"k":"note","text":"x"}` + "\n" + `{"k":"end"}`)
	f.Add(strings.Repeat(`{"k":"note","text":"`+strings.Repeat("y", 900)+`"}`+"\n", 100))
	f.Fuzz(func(t *testing.T, in string) {
		out := &order.Heap{}
		readHeap(strings.NewReader(in), out)
		rows := 0
		for _, p := range out.Parts {
			rows += len(p.Rows)
			for _, r := range p.Rows {
				if len(r.What) > heapText || strings.ContainsAny(r.What, "\n\x00") {
					t.Errorf("row %q", r.What)
				}
			}
		}
		if len(out.Parts) > heapParts || rows > heapParts*heapRows || len(out.Notes) > heapParts {
			t.Errorf("%d parts, %d rows, %d notes", len(out.Parts), rows, len(out.Notes))
		}
	})
}

// lying is a worker's process that never runs a task, and another that
// answers in its place.
const lying = `
import json, os, socket, sys, time
ask = sys.argv[1] + "/ask"
print("ready", flush=True)
until = time.monotonic() + 30
while not os.path.exists(ask) and time.monotonic() < until:
    time.sleep(0.01)
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1] + "/answer.sock")
try:
    s.sendall(b'{"k":"types","rows":[["forged",1,1]]}\n{"k":"end"}\n')
except OSError:
    pass  # hung up on, as it should be
`

// TestHeapOfAnother: what is not the asked process's word is not taken, no
// answer is said to be none, and nothing is left behind.
func TestHeapOfAnother(t *testing.T) {
	dir := testbed.Folder(t)
	c := &taskCounts{}
	c.take(os.Getpid(), []byte("1 1 0 1 2 app.a"))
	h := &heap{one: make(chan struct{}, 1), dir: dir, tasks: c, proc: os.DirFS("/proc")}
	n := procfs.Node{Members: []procfs.Member{{PID: 1, Role: "parent"}, {PID: os.Getpid(), Role: "child"}}}
	cmd := exec.Command("python3", "-c", lying, dir)
	ready, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if _, err := ready.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	out := h.ask(context.Background(), n, 2*time.Second)
	must(t, cmd.Wait())
	if out == nil || out.PID != os.Getpid() || len(out.Parts) != 0 || len(out.Notes) != 1 || !strings.Contains(out.Notes[0], "did not answer") {
		t.Errorf("%+v", out)
	}
	for _, name := range []string{"ask", "ask.new", "answer.sock"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is left behind", name)
		}
	}
	if got := h.ask(t.Context(), procfs.Node{Members: []procfs.Member{{PID: 1, Role: "parent"}}}, time.Second); got != nil {
		t.Errorf("a worker without a probe was asked: %+v", got)
	}
	if got := (*heap)(nil).ask(t.Context(), n, time.Second); got != nil {
		t.Errorf("%+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	h.ask(ctx, n, time.Minute)
	if time.Since(began) > 5*time.Second {
		t.Error("an agent that ends waits for an answer")
	}
}

// TestHeapOfOneAlone: once one process answers no other is kept: what it was
// asked by is gone, and a second that had connected is hung up on, before it
// forks or as soon as its fork speaks.
func TestHeapOfOneAlone(t *testing.T) {
	t.Parallel()
	dir := testbed.Folder(t)
	at := &net.UnixAddr{Name: filepath.Join(dir, "answer.sock"), Net: "unix"}
	l, err := net.ListenUnix("unix", at)
	must(t, err)
	defer l.Close()
	var both []*net.UnixConn
	for range 2 {
		conn, err := net.DialUnix("unix", nil, at)
		must(t, err)
		defer conn.Close()
		both = append(both, conn)
	}
	h := &heap{dir: dir, tasks: &taskCounts{}, proc: os.DirFS("/proc")}
	conn, err := h.await(l, &question{asked: []int{os.Getpid()}, until: time.Now().Add(testbed.Patience)})
	must(t, err)
	defer conn.Close()
	for _, name := range []string{"ask", "answer.sock"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there while an answer is read: %v", name, err)
		}
	}
	must(t, both[1].SetReadDeadline(time.Now().Add(time.Second)))
	if _, err := both[1].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the second is not hung up on: %v", err)
	}
	_, err = both[0].Write([]byte("x"))
	must(t, err)
	if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the first is not heard: %d, %v", n, err)
	}
}

// lookedBy runs testdata/look.py beside the shipped probe, and a stub of guppy:
// Debian has none.
func lookedBy(t *testing.T, kind string) string {
	t.Helper()
	dir := testbed.Folder(t)
	for from, to := range map[string]string{"../../configs/celery/dropleak_probe.py": "dropleak_probe.py", "testdata/look.py": "look.py"} {
		text, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, to), text, 0o644))
	}
	must(t, os.WriteFile(filepath.Join(dir, "guppy.py"), []byte(`
import gc
import types
def hpy():
    gc.collect()
    rows = [types.SimpleNamespace(name="stub.Row", size=1000 + len(gc.get_objects()), count=1)]
    part = types.SimpleNamespace(partition=types.SimpleNamespace(get_rows=lambda: iter(rows)))
    return types.SimpleNamespace(heap=lambda: types.SimpleNamespace(bytype=part))
`), 0o644))
	cmd := exec.Command("/usr/bin/python3", "look.py", dir, kind)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", kind, err, out)
	}
	return string(out)
}

// TestLook: what each part of a look says of a process, its agent being away
// from the picture; no value is told, and nobody's code runs in the fork.
func TestLook(t *testing.T) {
	t.Parallel()
	out := lookedBy(t, "leak")
	_, second, _ := strings.Cut(out, `{"k": "end"}`)
	h := &order.Heap{}
	if err := readHeap(strings.NewReader(strings.TrimSpace(second)), h); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []struct {
		part, what string
		grown      float64
	}{{"types", "__main__.Secret", 500}, {"held", "list, global __main__.kept (look.py:21)", 500}, {"chain", "__main__.Secret in list in dict in module", 0}, {"guppy", "stub.Row", 500}} {
		if row := rowOf(h, want.part, want.what); row.What == "" || row.Grown < want.grown {
			t.Errorf("%s: %+v, want %s +%g\n%s", want.part, row, want.what, want.grown, second)
		}
	}
	for _, want := range []string{`"k": "lines"`, `/look.py:`, `"k": "malloc"`, "malloc_trim(0) gave back"} {
		if !strings.Contains(second, want) {
			t.Errorf("lacks %s:\n%s", want, second)
		}
	}
	if got, want := partsOf(second), "look files malloc lines types held chain atoms cycles guppy"; got != want {
		t.Errorf("told in the order %s, not with what is quick first: %s", got, want)
	}
	if h.Since.IsZero() || strings.Contains(out, "hunter2") || strings.Contains(out, "failed") {
		t.Errorf("since %s:\n%s", h.Since, out)
	}
	for kind, want := range map[string]string{"refuse": "less than twice as much", "beside": "1 other tasks ran on"} {
		h := &order.Heap{}
		if err := readHeap(strings.NewReader(lookedBy(t, kind)), h); err != nil || !strings.Contains(h.Refused, want) || len(h.Parts) > 0 {
			t.Errorf("%s: %+v, %v", kind, h, err)
		}
	}
}

// TestLookIsBounded: the fork may take so much memory, time by the clock and
// time of a processor; what it had told before stays.
func TestLookIsBounded(t *testing.T) {
	t.Parallel()
	h := &order.Heap{}
	if err := readHeap(strings.NewReader(lookedBy(t, "greedy")), h); err != nil || !slices.Contains(h.Notes, "malloc took more memory than it may") || len(h.Parts) < 3 {
		t.Errorf("a part that takes half a GiB: %+v, %v", h, err)
	}
	for _, kind := range []string{"endless", "busy"} {
		h := &order.Heap{}
		if err := readHeap(strings.NewReader(lookedBy(t, kind)), h); err == nil || !strings.Contains(err.Error(), "cut short") || len(h.Parts) < 2 {
			t.Errorf("%s: %+v, %v", kind, h, err)
		}
	}
}

// partsOf are the parts of an answer as they were told, those without rows with them.
func partsOf(answer string) string {
	var names []string
	for _, m := range regexp.MustCompile(`"k": "(\w+)", "(?:since|rows)`).FindAllStringSubmatch(answer, -1) {
		names = append(names, m[1])
	}
	return strings.Join(names, " ")
}

// TestLookAfterOneCutShort: what a look was cut short in comes last in the
// next, and what the look before did not come to is not said
// not to have grown: it is told against the look that counted it, or as
// counted for the first time.
func TestLookAfterOneCutShort(t *testing.T) {
	t.Parallel()
	looks := strings.Split(strings.TrimSpace(lookedBy(t, "short")), "\n\n")
	if len(looks) != 4 {
		t.Fatalf("%d looks: %q", len(looks), looks)
	}
	var all []*order.Heap
	for i, text := range looks {
		h := &order.Heap{}
		if err := readHeap(strings.NewReader(text), h); (err == nil) != (i%2 == 1) {
			t.Fatalf("look %d: %v\n%s", i+1, err, text)
		}
		all = append(all, h)
	}
	types := func(i int) order.HeapPart {
		at := slices.IndexFunc(all[i].Parts, func(p order.HeapPart) bool { return p.Name == "types" })
		if at < 0 {
			t.Fatalf("look %d counts no types\n%s", i+1, looks[i])
		}
		return all[i].Parts[at]
	}
	if p, row := types(1), rowOf(all[1], "types", "__main__.Secret"); all[1].Since.IsZero() || !p.First || row.Count < 1000 {
		t.Errorf("the second, whole after one cut short: since %s, %+v", all[1].Since, p)
	}
	if p, row := types(3), rowOf(all[3], "types", "__main__.Secret"); p.First || !p.Since.Before(all[3].Since) || row.Grown != 1000 {
		t.Errorf("the fourth, whole after one cut short: since %s, %+v", all[3].Since, p)
	}
	for _, i := range []int{1, 3} {
		if got := partsOf(looks[i]); !strings.HasSuffix(got, " types") {
			t.Errorf("look %d came to %s, in this order", i+1, got)
		}
	}
	if i := slices.IndexFunc(all[3].Parts, func(p order.HeapPart) bool { return p.Name == "files" || p.Name == "malloc" }); i < 0 || !all[3].Parts[i].Since.IsZero() {
		t.Errorf("what the look before did count is told since another: %+v", all[3].Parts)
	}
}
