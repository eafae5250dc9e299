package configs

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/slack-go/slack"
)

// Every file that is not Go is an example that operators install, and each is loaded by what reads it.
func TestEveryExampleLoads(t *testing.T) {
	loaders := map[string]func(*testing.T, string, []byte){
		"dropleak.example.yaml":          loadExample,
		"slack-manifest.yaml":            loadManifest,
		"dropleak.env":                   loadSecrets,
		"agent.env":                      loadAgentSettings,
		"systemd/dropleak.service":       loadUnit,
		"systemd/dropleak-agent.service": loadUnit,
		"sysusers.d/dropleak.conf":       loadUsers,
		"sysusers.d/dropleak-agent.conf": loadUsers,
		"grafana/dropleak.json":          loadDashboard,
		"celery/dropleak_probe.py":       func(*testing.T, string, []byte) {}, // Celery imports it in the agent's tests
		"polkit/50-dropleak-agent.rules": func(*testing.T, string, []byte) {}, // polkitd reads it in the agent's tests
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".go") || strings.HasPrefix(path, "testdata") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		load, ok := loaders[filepath.ToSlash(path)]
		if !ok {
			t.Errorf("%s is loaded by nothing: add what reads it", path)
			return nil
		}
		delete(loaders, filepath.ToSlash(path))
		t.Run(path, func(t *testing.T) { load(t, path, text) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for missing := range loaders {
		t.Errorf("%s is not there", missing)
	}
}

func loadExample(t *testing.T, path string, text []byte) {
	if _, err := Read(path, text, all); err != nil {
		t.Error(err)
	}
}

func loadManifest(t *testing.T, _ string, text []byte) {
	var m slack.Manifest
	if err := yaml.UnmarshalWithOptions(text, &m, yaml.Strict()); err != nil {
		t.Error(err)
	}
}

// loadSecrets holds the file of secrets against the names that are read.
func loadSecrets(t *testing.T, path string, text []byte) {
	given := map[string]string{}
	for name, value := range settings(t, path, text) {
		given[name] = value + "secret"
	}
	asked := map[string]bool{}
	_, err := Read("x.yaml", []byte(least), func(name string) (string, bool) {
		asked[name] = true
		value, ok := given[name]
		return value, ok
	})
	if err != nil {
		t.Error(err)
	}
	for name := range given {
		if !asked[name] {
			t.Errorf("%s is read by nobody", name)
		}
	}
}

func loadAgentSettings(t *testing.T, path string, text []byte) {
	for name := range settings(t, path, text) {
		if !strings.HasPrefix(name, "DROPLEAK_") {
			t.Errorf("%s is no setting of the agent", name)
		}
	}
}

// settings reads the lines NAME=value of an environment file, as systemd does.
func settings(t *testing.T, path string, text []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.ContainsAny(name, " \t") {
			t.Errorf("%s: %q is no NAME=value", path, line)
		}
		out[name] = value
	}
	return out
}

// loadUnit asks systemd whether it understands every line, and how far the unit is shut in.
func loadUnit(t *testing.T, path string, text []byte) {
	file := filepath.Join(t.TempDir(), filepath.Base(path))
	program := "/usr/local/bin/" + strings.TrimSuffix(filepath.Base(path), ".service")
	if !strings.Contains(string(text), "ExecStart="+program) {
		t.Fatalf("%s does not start %s", path, program)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), program, "/bin/true")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), filepath.Base(path)+":") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold=25", "--no-pager", file).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

func loadUsers(t *testing.T, path string, text []byte) {
	user := strings.TrimSuffix(filepath.Base(path), ".conf")
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(text)), "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "u "+user+" ") {
		t.Errorf("%s makes %q, not the user %s", path, lines, user)
	}
}
