package configs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDashboardFitsGrafanasSchema holds the dashboard against the types that
// Grafana publishes on npm; .ci/setup installs them.
func TestDashboardFitsGrafanasSchema(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(cache, "dropleak", "grafana-schema", "node_modules")
	template, err := os.ReadFile(filepath.Join("..", ".ci", "npm", "grafana-schema", "dashboard.ts"))
	if err != nil {
		t.Fatal(err)
	}
	dashboard, err := os.ReadFile(filepath.Join("grafana", "dropleak.json"))
	if err != nil {
		t.Fatal(err)
	}
	const marker = "/* dashboard */"
	if strings.Count(string(template), marker) != 1 {
		t.Fatal("the check has no place for the dashboard")
	}
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "dashboard.ts"), []byte(strings.Replace(string(template), marker, string(dashboard), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(modules, ".bin", "tsc"), "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022",
		"--module", "nodenext", "--moduleResolution", "nodenext", "dashboard.ts")
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v (run .ci/setup where there is no tsc)\n%s", err, said)
	}
}
