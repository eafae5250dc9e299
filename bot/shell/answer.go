package shell

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// version is of the script whose answers are understood here.
const version = "1"

// Answer is what the script said to one set of words.
type Answer struct {
	Facts []Fact   // in the order they came
	Notes []string // what was left out, in sentences
	tree  tree
}

// Fact is one line of an answer: a name and the rest of the line.
type Fact struct{ Name, Text string }

// Get returns the first fact of a name, "" where there is none.
func (a Answer) Get(name string) string {
	for _, f := range a.Facts {
		if f.Name == name {
			return f.Text
		}
	}
	return ""
}

// All returns the facts of a name.
func (a Answer) All(name string) (out []string) {
	for _, f := range a.Facts {
		if f.Name == name {
			out = append(out, f.Text)
		}
	}
	return out
}

// listed is one process of the listing.
type listed struct {
	pid, ppid int
	state     byte
	rss       int64 // KiB
	args      string
}

// Read reads an answer. One that is not whole is an error: half a listing
// would look as if the rest had ended.
func Read(raw []byte) (Answer, error) {
	a := Answer{tree: tree{}}
	head, rest, _ := bytes.Cut(raw, []byte("\n"))
	said, ok := strings.CutPrefix(string(head), "dropleak-ssh ")
	switch {
	case !ok && len(raw) == 0:
		return a, ErrCut
	case !ok:
		return a, fmt.Errorf("it is not dropleak-ssh that answers: %q. Does the login print something, or does authorized_keys force another command?", clip(head))
	case said != version:
		return a, fmt.Errorf("dropleak-ssh of version %q answers, this dropleak speaks %s: replace it by what `dropleak ssh print-command` prints", clip([]byte(said)), version)
	}
	r := reading{Answer: &a, names: map[int]string{}}
	ended := false
	for line := range bytes.Lines(rest) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if ended {
			return a, fmt.Errorf("the answer goes on after its end: %q", clip(line))
		}
		if ended = string(line) == "E"; ended {
			continue
		}
		if err := r.line(line); err != nil {
			return a, err
		}
	}
	if !ended {
		return a, ErrCut
	}
	return a, r.finish()
}

func clip(raw []byte) []byte { return raw[:min(len(raw), 80)] }

// reading is an answer in the making.
type reading struct {
	*Answer
	file  string // that content lines belong to
	ps    []listed
	names map[int]string
}

func (r *reading) line(line []byte) error {
	kind, rest, _ := strings.Cut(string(line), " ")
	if len(line) > 0 && line[0] == ' ' {
		if r.file == "" {
			return fmt.Errorf("content of no file: %q", clip(line))
		}
		r.tree[r.file] = append(append(r.tree[r.file], line[1:]...), separator(r.file))
		return nil
	}
	r.file = ""
	switch kind {
	case "F":
		r.file = rest
		r.tree[rest] = []byte{}
	case "D":
		r.tree[rest] = nil // there, and not to be read
	case "L": // a link, and where it leads
		name, target, _ := strings.Cut(rest, " ")
		r.tree[name] = []byte(target)
	case "P":
		return r.process(rest)
	case "C":
		pid, name, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
		if n, err := strconv.Atoi(pid); err == nil {
			r.names[n] = name
		}
	case "O":
		name, text, _ := strings.Cut(rest, " ")
		r.Facts = append(r.Facts, Fact{name, text})
	case "N":
		r.Notes = append(r.Notes, rest)
	default:
		return fmt.Errorf("an answer has a line that means nothing: %q", clip(line))
	}
	return nil
}

// separator is what stands between the parts of a file: environments are
// parted by zeros.
func separator(file string) byte {
	if strings.HasSuffix(file, "/environ") {
		return 0
	}
	return '\n'
}

// process reads "PID PPID STATE RSS [ARGS]".
func (r *reading) process(rest string) error {
	f := strings.SplitN(rest, " ", 5)
	if len(f) < 4 {
		return fmt.Errorf("not a line of ps: %q", clip([]byte(rest)))
	}
	pid, err1 := strconv.Atoi(f[0])
	ppid, err2 := strconv.Atoi(f[1])
	rss, err3 := strconv.ParseInt(f[3], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || pid <= 0 || ppid < 0 || rss < 0 || rss > 1<<40 || len(f[2]) == 0 {
		return fmt.Errorf("not a line of ps: %q", clip([]byte(rest)))
	}
	p := listed{pid: pid, ppid: ppid, state: f[2][0], rss: rss}
	if len(f) > 4 {
		p.args = f[4]
	}
	r.ps = append(r.ps, p)
	return nil
}

// finish lays the listing out as /proc has it, beside the files that came
// along.
func (r *reading) finish() error {
	if size := r.Get("pagesize"); size != "" && size != strconv.Itoa(os.Getpagesize()) {
		return fmt.Errorf("the droplet counts memory in pages of %q bytes, this machine in %d: not supported", clip([]byte(size)), os.Getpagesize())
	}
	for _, p := range r.ps {
		dir := "proc/" + strconv.Itoa(p.pid) + "/"
		_, whole := r.tree[dir+"stat"]
		switch ours := strings.Contains(p.args, "celery") || strings.Contains(p.args, "flower"); {
		case ours && !whole:
			delete(r.tree, dir+"statm") // it ended while it was read, or was one too many
			continue
		case !whole:
			r.tree[dir+"stat"] = r.stat(p)
		}
		r.tree[dir+"cmdline"] = []byte(arguments(p.args))
	}
	return nil
}

// stat makes the line of a process of which only ps told.
func (r *reading) stat(p listed) []byte {
	pages := p.rss * 1024 / int64(os.Getpagesize())
	return fmt.Appendf(nil, "%d (%s) %c %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 %d\n", p.pid, r.names[p.pid], p.state, p.ppid, pages)
}

// arguments parts a command line as the kernel does; a title is one word.
func arguments(line string) string {
	if strings.HasPrefix(line, "[celery") {
		return line
	}
	return strings.ReplaceAll(line, " ", "\x00")
}
