package configs

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/shell"
)

// sourceName is what a source may be called: history keeps it as a label.
var sourceName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,62}$`)

// takenNames are what history calls those who send or are asked anyway.
var takenNames = []string{"agent", "digitalocean", "sender", "collectd", "import"}

// sources checks where samples are pulled from, and fills in what is left out.
func (v *validator) sources(env Getenv) {
	seen := map[string]bool{}
	for i := range v.c.Sources {
		s, key := &v.c.Sources[i], fmt.Sprintf("sources[%d]", i)
		v.oneOf(key+".type", s.Type, "prometheus", "exporter", "ssh", "influxdb")
		if s.Name == "" {
			s.Name = s.Type
		}
		switch {
		case s.Name == "": // its type is missing
		case !sourceName.MatchString(s.Name):
			v.bad(key+".name", "%q is not made of a-z, 0-9, _, . and -, beginning with a letter", s.Name)
		case slices.Contains(takenNames, s.Name):
			v.bad(key+".name", "%q is what others are called", s.Name)
		case seen[s.Name]:
			v.bad(key+".name", "%q is another source's too: give each a name", s.Name)
		}
		seen[s.Name] = true
		v.sourcePace(key, s)
		if s.Type == "ssh" {
			v.sourceSSH(key, s)
			continue
		}
		v.url(key+".url", s.URL, "https", "http")
		if s.KeyFile+s.AgentSocket+s.KnownHosts != "" {
			v.bad(key, "key_file, agent_socket and known_hosts are for type: ssh")
		}
		v.sourceAccess(key, s, env)
		v.sourceNames(key, s)
	}
}

func (v *validator) sourcePace(key string, s *Source) {
	for name, d := range map[string]*Duration{"every": &s.Every, "timeout": &s.Timeout} {
		if *d == 0 {
			*d = Duration(map[string]time.Duration{"every": time.Minute, "timeout": 30 * time.Second}[name])
		}
		v.atLeast(key+"."+name, *d, time.Second)
	}
	if s.Type != "exporter" && s.Type != "ssh" {
		if s.Backfill == 0 {
			s.Backfill = Duration(7 * 24 * time.Hour)
		}
		v.atLeast(key+".backfill", s.Backfill, time.Minute)
		v.sourceQueries(key, s)
		return
	}
	if s.Backfill != 0 || len(s.Queries) > 0 {
		v.bad(key, "type: %s tells only of now: backfill and queries are for type: prometheus and influxdb", s.Type)
	}
}

// sourceQueries checks what only an InfluxDB has, or must have.
func (v *validator) sourceQueries(key string, s *Source) {
	if s.Type != "influxdb" {
		if s.Database != "" {
			v.bad(key+".database", "is for type: influxdb")
		}
		return
	}
	for i, q := range s.Queries {
		if !strings.Contains(q, "$range") {
			v.bad(fmt.Sprintf("%s.queries[%d]", key, i), "has no $range, which stands for the time that is asked for")
		}
	}
	if s.Groupname != "" {
		v.bad(key+".groupname", "is for process-exporter, which no InfluxDB speaks of")
	}
}

// sourceAccess fills in the secrets, which may not travel where others read.
func (v *validator) sourceAccess(key string, s *Source, env Getenv) {
	for name, into := range map[string]*string{s.PasswordEnv: &s.Password, s.TokenEnv: &s.Token} {
		if name == "" || v.beside {
			continue
		}
		value, err := secret(name, env)
		switch {
		case err != nil:
			v.missing(name, "%s", err)
		case value == "":
			v.missing(name, "is not set, nor is %s_FILE; %s names it", name, key)
		}
		*into = value
	}
	if (s.User == "") != (s.PasswordEnv == "") {
		v.bad(key, "user and password_env belong together")
	}
	if s.User != "" && s.TokenEnv != "" {
		v.bad(key, "user and token_env: one of them")
	}
	u, err := url.Parse(s.URL)
	if err == nil && u.Scheme == "http" && !loopback(u.Hostname()) && s.PasswordEnv+s.TokenEnv != "" && !s.Insecure {
		v.bad(key+".url", "would send a secret in the clear: use https, or insecure: true on a network that nobody else reads")
	}
	if s.CAFile == "" || v.beside {
		return
	}
	if s.CA, err = os.ReadFile(s.CAFile); err != nil {
		v.bad(key+".ca_file", "%s", err)
	}
}

func (v *validator) sourceNames(key string, s *Source) {
	if s.Groupname == "" {
		return
	}
	pattern, err := regexp.Compile(s.Groupname)
	if err != nil {
		v.bad(key+".groupname", "%s", err)
		return
	}
	if pattern.SubexpIndex("worker") < 0 {
		v.bad(key+".groupname", "has no group (?P<worker>…)")
	}
	s.Group = pattern
}

// sourceSSH checks how a droplet is reached over SSH. Nobody is dialled.
func (v *validator) sourceSSH(key string, s *Source) {
	v.url(key+".url", s.URL, "ssh")
	if u, err := url.Parse(s.URL); err == nil && u.Host != "" && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Port() == "" && strings.HasSuffix(u.Host, ":")) {
		v.bad(key+".url", "%q is not ssh://HOST or ssh://HOST:PORT", s.URL)
	}
	if !sshUser.MatchString(s.User) {
		v.bad(key+".user", "%q is no name of a user: who logs in on the droplet?", s.User)
	}
	if (s.KeyFile == "") == (s.AgentSocket == "") {
		v.bad(key, "needs one of key_file and agent_socket")
	}
	if s.KnownHosts == "" {
		v.bad(key, "needs known_hosts: the file with the droplet's host key, as `ssh-keyscan` prints it and you have compared it")
	}
	if s.PasswordEnv+s.TokenEnv+s.CAFile+s.Groupname+s.Worker != "" || s.Insecure || len(s.WorkerLabels)+len(s.DropletLabels) > 0 {
		v.bad(key, "password_env, token_env, ca_file, insecure, groupname, worker, worker_labels and droplet_labels are not for type: ssh")
	}
	if v.beside || s.KnownHosts == "" {
		return
	}
	for name, err := range s.Shell().Check() {
		v.bad(key+"."+name, "%s", err)
	}
}

var sshUser = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// Shell says how a source of type ssh is reached.
func (s Source) Shell() shell.Options {
	host := strings.TrimSuffix(strings.TrimPrefix(s.URL, "ssh://"), "/")
	if u, err := url.Parse(s.URL); err == nil && u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "22")
	}
	return shell.Options{Address: host, User: s.User, KeyFile: s.KeyFile, AgentSocket: s.AgentSocket, KnownHosts: s.KnownHosts, Timeout: time.Duration(s.Timeout)}
}
