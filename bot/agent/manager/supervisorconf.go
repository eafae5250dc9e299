package manager

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// section is one [kind:name] of a supervisord configuration.
type section map[string]string

// readConf reads a supervisord configuration with the files its [include]
// names, as far as we may read them. Sections by their bracketed name.
func readConf(file string) map[string]section {
	conf := map[string]section{}
	raw, err := os.ReadFile(file)
	if err != nil {
		return conf
	}
	parseConf(conf, string(raw))
	for _, pattern := range strings.Fields(conf["include"]["files"]) {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(file), pattern)
		}
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue // supervisord would match nothing either
		}
		for _, m := range matches {
			if raw, err := os.ReadFile(m); err == nil {
				parseConf(conf, string(raw))
			}
		}
	}
	return conf
}

// parseConf adds the sections of one file. The format is Python's
// configparser: "key = value" or "key: value", # and ; begin comments, a
// line that starts with a blank goes on with the value before.
func parseConf(conf map[string]section, text string) {
	var current section
	last := ""
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		trimmed := strings.TrimSpace(line)
		if i := strings.Index(trimmed, " ;"); i >= 0 {
			trimmed = strings.TrimSpace(trimmed[:i])
		}
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case trimmed[0] == '[' && strings.HasSuffix(trimmed, "]"):
			name := trimmed[1 : len(trimmed)-1]
			if conf[name] == nil {
				conf[name] = section{}
			}
			current, last = conf[name], ""
		case current == nil:
		case (line[0] == ' ' || line[0] == '\t') && last != "":
			current[last] += "\n" + trimmed
		default:
			if i := strings.IndexAny(trimmed, "=:"); i > 0 {
				last = strings.ToLower(strings.TrimSpace(trimmed[:i]))
				current[last] = strings.TrimSpace(trimmed[i+1:])
			}
		}
	}
}

// socketSettings reads where supervisord listens and what it asks for.
func socketSettings(file string) (socket, user, password string) {
	s := readConf(file)["unix_http_server"]
	here := filepath.Dir(file)
	expand := func(v string) string { return strings.ReplaceAll(v, "%(here)s", here) }
	return expand(s["file"]), s["username"], s["password"]
}

// autoRestart reads whether supervisord starts a program again after a clean
// exit, and the line to change when it does not.
func autoRestart(file, group, name string) (word string, again bool, change string) {
	conf := readConf(file)
	s, title := programSection(conf, group, name)
	if s == nil {
		return "", false, fmt.Sprintf("autorestart=true in the [program:%s] section (it was not found in %s)", name, file)
	}
	word = strings.ToLower(s["autorestart"])
	if word == "" {
		word = "unexpected" // supervisord's default
	}
	if slices.Contains([]string{"true", "yes", "on", "1"}, word) {
		return word, true, ""
	}
	return word, false, fmt.Sprintf("autorestart=true in the [%s] section (now autorestart=%s)", title, word)
}

// programSection finds the section behind a process: named like it, like its
// group (numprocs), or, where process_name is a pattern, like what is left.
func programSection(conf map[string]section, group, name string) (section, string) {
	for _, n := range []string{name, group} {
		if s, ok := conf["program:"+n]; ok {
			return s, "program:" + n
		}
	}
	for _, member := range strings.Split(conf["group:"+group]["programs"], ",") {
		member = strings.TrimSpace(member)
		if s, ok := conf["program:"+member]; ok && member != "" && strings.HasPrefix(name, member) {
			return s, "program:" + member
		}
	}
	return nil, ""
}
