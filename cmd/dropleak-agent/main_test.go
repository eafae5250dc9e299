package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	env := map[string]string{"DROPLEAK_SERVER": "https://env", "DROPLEAK_EVERY": "10s", "DROPLEAK_ALLOW": "systemd:a.service, supervisor:b",
		"DROPLEAK_SPOOL_MAX": "2G", "DROPLEAK_HUGE_PSS": "true", "DROPLEAK_LOG_LEVEL": "debug", "DROPLEAK_ONCE": "true"}
	s, err := parse([]string{"--server", "https://flag", "--spool=/x"}, func(k string) string { return env[k] }, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	o := s.opts
	if o.Server != "https://flag" || o.Every != 10*time.Second || fmt.Sprint(o.Allow) != "[systemd:a.service supervisor:b]" || o.SpoolMax != 2<<30 ||
		!o.HugePSS || o.Spool != "/x" || s.level != -4 || s.once != "" {
		t.Errorf("settings %+v", s)
	}
	if s, err := parse(nil, os.Getenv, &bytes.Buffer{}); err != nil || s.opts.SpoolMax != 64<<20 || s.opts.Every != time.Minute {
		t.Errorf("defaults %+v, %v", s, err)
	}
	for _, args := range [][]string{{"--allow", "docker:x"}, {"--spool-max", "lots"}, {"--every", "often"}, {"--every", "0s"}, {"--every", "999ms"}, {"--every", "-1m"}, {"--once=xml"}, {"--nonsense"}, {"serve"}} {
		if _, err := parse(args, func(string) string { return "" }, &bytes.Buffer{}); err == nil {
			t.Errorf("%q went through", args)
		}
	}
	for value, want := range map[string]string{"60": "it is not a duration such as 30s or 5m", "0s": "at least 1s"} {
		if _, err := parse([]string{"--every", value}, func(string) string { return "" }, &bytes.Buffer{}); err == nil || !strings.HasSuffix(err.Error(), "-every: "+want) {
			t.Errorf("--every %s: %v, want %q", value, err, want)
		}
	}
	env = map[string]string{"DROPLEAK_EVERY": "x", "DROPLEAK_ALLOW": "y"}
	if _, err := parse(nil, func(k string) string { return env[k] }, &bytes.Buffer{}); err == nil ||
		!strings.Contains(err.Error(), "DROPLEAK_EVERY") || !strings.Contains(err.Error(), "DROPLEAK_ALLOW") {
		t.Errorf("error %v, want both variables named", err)
	}
}

func TestSize(t *testing.T) {
	for s, want := range map[string]int64{"1048576": 1 << 20, "64MiB": 64 << 20, "1.5K": 1536, "2 GB": 2e9, "3M": 3 << 20} {
		if got, err := size(s); err != nil || got != want {
			t.Errorf("size(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-1", "0", "MiB", "NaN", "1e30G", "Inf"} {
		if n, err := size(s); err == nil {
			t.Errorf("size(%q) = %d", s, n)
		}
	}
}

func TestRun(t *testing.T) {
	none := func(string) string { return "" }
	for _, tt := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"--version"}, 0, "dropleak-agent ", ""},
		{[]string{"--help"}, 0, "", "--token-file FILE"},
		{nil, 2, "", "--server"},
		{[]string{"--server", "http://10.0.0.1"}, 2, "", "--insecure"},
		{[]string{"--bad"}, 2, "", "--help"},
		{[]string{"--once"}, 0, "DROPLET", ""},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), tt.args, none, &stdout, &stderr)
		if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
			t.Errorf("%q: exit %d\n%s\n%s", tt.args, code, &stdout, &stderr)
		}
	}
}

func TestOnceJSON(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--once=json"}, func(string) string { return "" }, &stdout, &stderr); code != 0 {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(stdout.String()) {
		var v struct {
			Labels map[string]string `json:"labels"`
			Time   int64             `json:"time_ms"`
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.Time == 0 {
			t.Fatalf("line %q: %v", line, err)
		}
		seen[v.Labels["__name__"]] = true
	}
	if !seen["dropleak_droplet_memory_available_bytes"] || !seen["dropleak_other_memory_bytes"] {
		t.Errorf("names seen: %v", seen)
	}
}

// TestManual holds docs/agent.md and the shipped settings to the flags.
func TestManual(t *testing.T) {
	var help bytes.Buffer
	run(t.Context(), []string{"--help"}, os.Getenv, &bytes.Buffer{}, &help)
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "agent.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(--[a-z-]+)").FindAllStringSubmatch(string(manual), -1) {
		if !strings.Contains(help.String(), "  -"+strings.TrimPrefix(m[1], "--")) {
			t.Errorf("docs/agent.md describes %s, which is no flag", m[1])
		}
	}
	settings, err := os.ReadFile(filepath.Join("..", "..", "configs", "agent.env"))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^#?(DROPLEAK_[A-Z_]+)=(.*)$`).FindAllStringSubmatch(string(settings), -1) {
		flag := "-" + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(m[1], "DROPLEAK_"), "_", "-"))
		if !strings.Contains(help.String(), "  "+flag) {
			t.Errorf("configs/agent.env sets %s, which is no flag", m[1])
		}
		env[m[1]] = m[2]
	}
	if _, err := parse(nil, func(k string) string { return env[k] }, &bytes.Buffer{}); err != nil {
		t.Errorf("the values of configs/agent.env: %v", err)
	}
}

// TestSmall builds the binary as it is shipped: under 12 MB, and without the
// packages that only the service needs.
func TestSmall(t *testing.T) {
	name := filepath.Join(t.TempDir(), "agent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= 12_000_000 {
		t.Errorf("the binary has %d bytes, want under 12 MB", info.Size())
	}
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, ban := range []string{"slack-go", "godo", "database/sql", "modernc.org", "gonum", "client_golang/prometheus"} {
			if strings.Contains(dep, ban) {
				t.Errorf("the agent imports %s", strings.TrimSpace(dep))
			}
		}
	}
}
