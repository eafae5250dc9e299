package formats

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// celery is what a command line, as ps prints it, says of Celery.
type celery struct {
	worker bool   // a worker's main process or one of its children
	child  bool   // by its title
	other  bool   // a beat or a flower of its own
	node   string // of -n or --hostname; "" where it is not said
}

func (c celery) role() string {
	if c.child {
		return "child"
	}
	return "parent"
}

// celeryTitle is how Celery names its processes where setproctitle is
// installed.
var celeryTitle = regexp.MustCompile(`^\[celery(d| beat)(?:: ?([^\]]*?))?(?::(MainProcess|[A-Za-z]*PoolWorker-\d+|[A-Za-z]*Process[-:0-9]*))?\]`)

// interpreters may stand before the program.
var interpreters = regexp.MustCompile(`^(python|pypy)[0-9.]*[a-z]?$`)

// celeryIn reads a command line whose arguments are joined by spaces.
func celeryIn(command string) celery {
	if m := celeryTitle.FindStringSubmatch(command); m != nil {
		return celery{worker: m[1] == "d", other: m[1] == " beat", child: m[3] != "" && m[3] != "MainProcess", node: m[2]}
	}
	args := strings.Fields(command)
	if len(args) > 0 && interpreters.MatchString(path.Base(args[0])) {
		args = args[1:]
		for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-m" {
			args = args[1:]
		}
		if len(args) > 0 && args[0] == "-m" {
			args = args[1:]
		}
	}
	if len(args) > 2 && path.Base(args[0]) == "manage.py" {
		args = args[1:]
	}
	if len(args) == 0 || !isCelery(args[0]) {
		return celery{}
	}
	return celeryArgs(args)
}

func isCelery(program string) bool {
	switch base := path.Base(program); base {
	case "celery", "celeryd", "celery.bin.worker", "celery.__main__":
		return true
	default:
		return base == "__main__.py" && path.Base(path.Dir(program)) == "celery"
	}
}

func celeryArgs(args []string) celery {
	rest := args[1:]
	c := celery{node: nodeName(rest)}
	switch {
	case slices.Contains(rest, "worker"), path.Base(args[0]) == "celeryd", args[0] == "celery.bin.worker":
		c.worker = true
	case slices.Contains(rest, "beat"), slices.Contains(rest, "flower"), slices.Contains(rest, "events"):
		c.other = true
	default:
		c.worker = len(rest) == 0 // ps was asked for the program's name alone
	}
	return c
}

// nodeName reads -n X, -nX, --hostname X and --hostname=X.
func nodeName(args []string) string {
	for i, a := range args {
		switch {
		case (a == "-n" || a == "--hostname") && i+1 < len(args):
			return args[i+1]
		case strings.HasPrefix(a, "--hostname="):
			return strings.TrimPrefix(a, "--hostname=")
		case strings.HasPrefix(a, "-n") && len(a) > 2:
			return strings.TrimPrefix(a[2:], "=")
		}
	}
	return ""
}
