package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSources(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte("a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Read("x.yaml", []byte(least+`sources:
- {type: prometheus, url: "https://p.internal:9090", user: u, password_env: P, ca_file: `+ca+`, queries: [a, 'b{c="d"}'], worker_labels: [queue]}
- {type: exporter, name: web-1, url: "http://10.0.0.5:9256/metrics", droplet: 7, every: 15s, groupname: '^(?P<worker>\w+)$'}
- {type: prometheus, name: vm, url: "http://10.0.0.9:8428", token_env: T, insecure: true}
- {type: influxdb, url: "http://127.0.0.1:8086", database: telegraf, queries: ['SELECT rss FROM x WHERE $range GROUP BY *']}
`), all)
	if err != nil {
		t.Fatal(err)
	}
	p, e, v := c.Sources[0], c.Sources[1], c.Sources[2]
	if p.Name != "prometheus" || p.Password != "secret-P" || string(p.CA) != "a certificate" || p.Every != Duration(time.Minute) ||
		p.Backfill != Duration(7*24*time.Hour) || p.Timeout != Duration(30*time.Second) || len(p.Queries) != 2 || p.WorkerLabels[0] != "queue" {
		t.Errorf("%+v", p)
	}
	if i := c.Sources[3]; i.Name != "influxdb" || i.Database != "telegraf" || i.Backfill != Duration(7*24*time.Hour) || len(i.Queries) != 1 {
		t.Errorf("%+v", i)
	}
	if e.Droplet != "7" || e.Every != Duration(15*time.Second) || e.Backfill != 0 || !e.Group.MatchString("mail") || v.Token != "secret-T" {
		t.Errorf("%+v %+v", e, v)
	}
}

func TestSourceProblems(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(hosts, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"{url: 'http://127.0.0.1:1'}":                                                                      "sources[0].type",
		"{type: prometheus}":                                                                               "sources[0].url",
		"{type: prometheus, url: 'http://u:p@127.0.0.1:1'}":                                                "secrets come from the environment",
		"{type: prometheus, url: 'http://127.0.0.1:1', name: sender}":                                      "what others are called",
		"{type: prometheus, url: 'http://127.0.0.1:1', name: 'A b'}":                                       "not made of",
		"{type: prometheus, url: 'http://127.0.0.1:1', every: 10ms}":                                       "sources[0].every",
		"{type: exporter, url: 'http://127.0.0.1:1/metrics', queries: [a]}":                                "only of now",
		"{type: prometheus, url: 'http://10.0.0.1:1', token_env: T}":                                       "in the clear",
		"{type: prometheus, url: 'http://127.0.0.1:1', user: u}":                                           "belong together",
		"{type: prometheus, url: 'http://127.0.0.1:1', user: u, password_env: P, token_env: T}":            "one of them",
		"{type: prometheus, url: 'http://127.0.0.1:1', ca_file: /nowhere}":                                 "no such file",
		"{type: prometheus, url: 'http://127.0.0.1:1', groupname: '('}":                                    "sources[0].groupname",
		"{type: prometheus, url: 'http://127.0.0.1:1', groupname: 'x'}":                                    "no group (?P<worker>",
		"{type: prometheus, url: 'http://127.0.0.1:1'}\n- {type: prometheus, url: 'http://[::1]:1'}":       "another source's too",
		"{type: prometheus, url: 'http://127.0.0.1:1', token_env: UNSET_FILE}":                             "is not set",
		"{type: exporter, url: 'http://127.0.0.1:1', key_file: /k}":                                        "are for type: ssh",
		"{type: ssh, url: 'http://h', user: u, agent_socket: /s, known_hosts: " + hosts + "}":              "is not a URL with ssh",
		"{type: ssh, url: 'ssh://u@h', user: u, agent_socket: /s, known_hosts: " + hosts + "}":             "carries a user",
		"{type: ssh, url: 'ssh://h/x', user: u, agent_socket: /s, known_hosts: " + hosts + "}":             "is not ssh://HOST",
		"{type: ssh, url: 'ssh://h', agent_socket: /s, known_hosts: " + hosts + "}":                        "no name of a user",
		"{type: ssh, url: 'ssh://h', user: u, known_hosts: " + hosts + "}":                                 "one of key_file and agent_socket",
		"{type: ssh, url: 'ssh://h', user: u, agent_socket: /s}":                                           "needs known_hosts",
		"{type: ssh, url: 'ssh://h', user: u, agent_socket: /s, known_hosts: /nowhere}":                    "sources[0].known_hosts",
		"{type: ssh, url: 'ssh://h', user: u, key_file: /nowhere, known_hosts: " + hosts + "}":             "sources[0].key_file",
		"{type: ssh, url: 'ssh://h', user: u, agent_socket: /s, known_hosts: " + hosts + ", worker: w}":    "not for type: ssh",
		"{type: ssh, url: 'ssh://h', user: u, agent_socket: /s, known_hosts: " + hosts + ", backfill: 1h}": "only of now",
		"{type: influxdb, url: 'http://127.0.0.1:1', queries: ['SELECT rss FROM x']}":                      "sources[0].queries[0]: has no $range",
		"{type: influxdb, url: 'http://127.0.0.1:1', groupname: '(?P<worker>x)'}":                          "no InfluxDB speaks of",
		"{type: prometheus, url: 'http://127.0.0.1:1', database: x}":                                       "is for type: influxdb",
	} {
		_, err := Read("x.yaml", []byte(least+"sources:\n- "+text+"\n"), all)
		var ps Problems
		if !errors.As(err, &ps) || len(ps) != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one problem with %q", text, err, want)
		}
	}
}

func TestShell(t *testing.T) {
	for url, want := range map[string]string{"ssh://h": "h:22", "ssh://h:2222": "h:2222", "ssh://[::1]": "[::1]:22", "ssh://[::1]:7/": "[::1]:7"} {
		if got := (Source{URL: url}).Shell().Address; got != want {
			t.Errorf("%s is reached at %s, want %s", url, got, want)
		}
	}
}

func TestRestartOverSSH(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(hosts, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for unit, good := range map[string]bool{"": true, "systemd:celery@mail.service": true, "supervisor:shop:mail_00": true, "docker:shop-worker-1": true,
		"compose:/srv/shop:worker": true, "command:mail": true, "celery.service": false, "systemd:celery": false, "docker:a b": false, "docker:$x": false,
		"compose:shop:worker": false, "compose:/srv/../etc:worker": false, "lxc:mail": false, "command:": false} {
		_, err := Read("x.yaml", []byte(least+"sources:\n- {type: ssh, url: 'ssh://h', user: u, agent_socket: /s, known_hosts: "+hosts+"}\nworkers:\n- {restart: ssh, unit: '"+unit+"'}\n"), all)
		if good != (err == nil) || err != nil && !strings.Contains(err.Error(), "workers[0].unit") {
			t.Errorf("unit %q: %v", unit, err)
		}
	}
}
