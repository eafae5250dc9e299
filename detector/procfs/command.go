package procfs

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

// program is what a command line runs.
type program int

const (
	notCelery program = iota
	workerMain
	workerChild // only setproctitle's titles tell; a plain fork looks like its parent
	beat
	flower
)

// command is what a command line says about a Celery process. Nothing else
// of the line is kept: it carries passwords.
type command struct {
	program     program
	app         string
	node        string // as given or shown, %h and the like not expanded; "" default
	pool        string // "" not said
	concurrency int    // 0 not said
	beat        bool   // -B: a beat lives inside this worker
	schedule    string // base name of the beat's schedule file; "" default
}

// title is how Celery names its processes where setproctitle is installed:
//
//	[celeryd: mail@web1:MainProcess] -active- (-A shop worker -n mail@%h)
//	[celeryd: mail@web1:ForkPoolWorker-3]
//	[celery beat] -A shop beat
var title = regexp.MustCompile(`^\[celery(d| beat)(?:: ?(.*?))?(?::(MainProcess|[A-Za-z]*PoolWorker-\d+|[A-Za-z]*Process[-:0-9]*))?\] ?(.*)$`)

// parseCommand reads the raw bytes of /proc/PID/cmdline.
func parseCommand(raw []byte) command {
	line := strings.TrimRight(string(raw), "\x00")
	if line == "" {
		return command{}
	}
	if strings.HasPrefix(line, "[celery") {
		return parseTitle(line)
	}
	return parseArgs(strings.Split(line, "\x00"))
}

func parseTitle(line string) command {
	m := title.FindStringSubmatch(line)
	if m == nil {
		return command{}
	}
	what, node, process, rest := m[1], m[2], m[3], m[4]
	if what == " beat" {
		c := options(strings.Fields(rest))
		c.program = beat
		return c
	}
	if process != "" && process != "MainProcess" {
		return command{program: workerChild, node: node}
	}
	if open := strings.IndexByte(rest, '('); open >= 0 {
		rest = strings.TrimSuffix(rest[open+1:], ")")
	}
	c := options(strings.Fields(rest))
	c.program, c.node = workerMain, node
	return c
}

var interpreter = regexp.MustCompile(`^(python|pypy)[0-9.]*[a-z]?$`)

// parseArgs reads an argument vector. Wrappers (sh -c, sudo, timeout, tini)
// are not matched: the real process stands below them.
func parseArgs(args []string) command {
	args = celeryArgs(args)
	if args == nil {
		return command{}
	}
	c := options(args)
	switch subcommand(args) {
	case "worker":
		c.program = workerMain
	case "beat":
		c.program = beat
	case "flower":
		c.program = flower
	}
	if c.program == notCelery {
		return command{}
	}
	return c
}

// celeryArgs returns what follows the celery program, nil where there is
// none: celery …, python … celery …, python -m celery …, and celeryd or
// celerybeat of old.
func celeryArgs(args []string) []string {
	if interpreter.MatchString(path.Base(args[0])) {
		args = args[1:]
		for len(args) > 0 && strings.HasPrefix(args[0], "-") {
			switch {
			case args[0] == "-m":
				return module(args[1:])
			case args[0] == "-c":
				return nil
			case (args[0] == "-W" || args[0] == "-X") && len(args) > 1:
				args = args[1:]
			}
			args = args[1:]
		}
	}
	if len(args) == 0 {
		return nil
	}
	switch base := path.Base(args[0]); {
	case base == "celery", base == "celery.exe":
		return args[1:]
	case base == "__main__.py" && path.Base(path.Dir(args[0])) == "celery":
		return args[1:]
	case base == "celeryd":
		return append([]string{"worker"}, args[1:]...)
	case base == "celerybeat":
		return append([]string{"beat"}, args[1:]...)
	case base == "flower":
		return append([]string{"flower"}, args[1:]...)
	case base == "manage.py" && len(args) > 1 && args[1] == "celery":
		return args[2:]
	}
	return nil
}

func module(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	switch args[0] {
	case "celery", "celery.__main__", "celery.bin.celery":
		return args[1:]
	case "celery.bin.worker":
		return append([]string{"worker"}, args[1:]...)
	}
	return nil
}

// valued are the options whose value is the next argument. It matters only
// that a value is not taken for the subcommand.
var valued = map[string]bool{
	"-A": true, "--app": true, "-b": true, "--broker": true, "--result-backend": true, "--loader": true, "--config": true,
	"--workdir": true, "-n": true, "--hostname": true, "-D": false, "-S": true, "--statedb": true, "-l": true, "--loglevel": true,
	"-O": true, "-P": true, "--pool": true, "-c": true, "--concurrency": true, "-Q": true, "--queues": true, "-X": true,
	"--exclude-queues": true, "-I": true, "--include": true, "--autoscale": true, "-s": true, "--schedule": true,
	"--schedule-filename": true, "--scheduler": true, "-f": true, "--logfile": true, "--pidfile": true, "--uid": true, "--gid": true,
	"--umask": true, "--executable": true, "--prefetch-multiplier": true, "--time-limit": true, "--soft-time-limit": true,
	"--max-tasks-per-child": true, "--max-memory-per-child": true, "--heartbeat-interval": true, "--max-interval": true,
}

// subcommand returns the first argument that is neither option nor value.
func subcommand(args []string) string {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if !strings.HasPrefix(a, "-") {
			return a
		}
		if valued[a] {
			i++
		}
	}
	return ""
}

// options picks the few options that say which node this is, in the forms
// -n X, -nX, --hostname X and --hostname=X, before or after the subcommand.
func options(args []string) command {
	var c command
	value := func(i int, short, long string) (string, bool) {
		a := args[i]
		switch {
		case (short != "" && a == short || a == long) && i+1 < len(args):
			return args[i+1], true
		case strings.HasPrefix(a, long+"="):
			return a[len(long)+1:], true
		case short != "" && strings.HasPrefix(a, short) && len(a) > 2 && !strings.HasPrefix(a, "--"):
			return strings.TrimPrefix(a[2:], "="), true
		}
		return "", false
	}
	for i := 0; i < len(args); i++ {
		if v, ok := value(i, "-A", "--app"); ok {
			c.app = v
		} else if v, ok := value(i, "-n", "--hostname"); ok {
			c.node = v
		} else if v, ok := value(i, "-P", "--pool"); ok {
			c.pool = poolName(v)
		} else if v, ok := value(i, "-c", "--concurrency"); ok {
			c.concurrency, _ = strconv.Atoi(v) // not a number: not said
		} else if v, ok := value(i, "-s", "--schedule"); ok {
			c.schedule = path.Base(v)
		} else if v, ok := value(i, "", "--schedule-filename"); ok {
			c.schedule = path.Base(v)
		} else if args[i] == "-B" || args[i] == "--beat" {
			c.beat = true
		}
		if valued[args[i]] {
			i++
		}
	}
	return c
}

// poolName is the pool by the name the rest of dropleak uses; a pool class
// of somebody's own has none.
func poolName(s string) string {
	switch s {
	case "prefork", "solo", "threads", "eventlet", "gevent":
		return s
	case "processes":
		return "prefork"
	}
	return ""
}
