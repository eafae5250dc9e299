package cmd

import (
	"database/sql"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// goMod is what go mod edit -json says of a module file, as far as it is asked here.
type goMod struct {
	Require []struct {
		Path, Version string
		Indirect      bool
	}
}

func (m goMod) version(path string) string {
	for _, r := range m.Require {
		if r.Path == path {
			return r.Version
		}
	}
	return ""
}

func readGoMod(t *testing.T, name string) goMod {
	t.Helper()
	var m goMod
	if err := json.Unmarshal([]byte(command(t, "go", "mod", "edit", "-json", name)), &m); err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return m
}

// SQLite is C translated for one version of libc; built with another it corrupts memory.
func TestSQLiteHasItsOwnLibc(t *testing.T) {
	dir := strings.TrimSpace(command(t, "go", "list", "-m", "-f", "{{.Dir}}", "modernc.org/sqlite"))
	want := readGoMod(t, filepath.Join(dir, "go.mod")).version("modernc.org/libc")
	got := strings.TrimSpace(command(t, "go", "list", "-m", "-f", "{{.Version}}", "modernc.org/libc"))
	if want == "" || got != want {
		t.Errorf("modernc.org/libc is at %s, and modernc.org/sqlite was made for %q", got, want)
	}
}

// SQLite up to 3.51.2 can corrupt a database when its write-ahead log is reset.
func TestSQLiteIsPastTheWALResetBug(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var version string
	if err := db.QueryRow("select sqlite_version()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if slices.Compare(numbers(t, version), []int{3, 51, 2}) <= 0 {
		t.Errorf("SQLite is %s, want newer than 3.51.2", version)
	}
}

func numbers(t *testing.T, version string) []int {
	t.Helper()
	var parts []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			t.Fatalf("version %q: %v", version, err)
		}
		parts = append(parts, n)
	}
	return parts
}

// docs/dependencies.md has a table row for each module taken in directly: what for, and why not something else.
func TestEveryDependencyIsExplained(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(top, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for line := range strings.SplitSeq(string(text), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) == 5 && strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			name := strings.Trim(strings.TrimSpace(cells[1]), "`")
			explained[name] = true
			if strings.TrimSpace(cells[2]) == "" || strings.TrimSpace(cells[3]) == "" {
				t.Errorf("docs/dependencies.md: %s lacks what it is for or why it was chosen", name)
			}
		}
	}
	for _, name := range direct(readGoMod(t, "go.mod"), readGoMod(t, ".ci/tools/go.mod")) {
		if !explained[name] {
			t.Errorf("docs/dependencies.md does not say what %s is for", name)
		}
		delete(explained, name)
	}
	for name := range explained {
		t.Errorf("docs/dependencies.md explains %s, which is not taken in", name)
	}
}

// direct lists the modules that the house's code imports, and staticcheck, which only the tools' module file names.
func direct(house, tools goMod) []string {
	var names []string
	for _, r := range house.Require {
		if !r.Indirect {
			names = append(names, r.Path)
		}
	}
	if tools.version("honnef.co/go/tools") != "" {
		names = append(names, "honnef.co/go/tools")
	}
	return names
}

// What a machine calls its folders and its registries is no business of the project's.
func TestNoTraceOfTheMachine(t *testing.T) {
	traces := append(foldersAbove(t), registryHosts(t)...)
	for name := range strings.SplitSeq(strings.TrimSpace(command(t, "git", "ls-files")), "\n") {
		if name == "go.sum" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(top, name))
		if os.IsNotExist(err) {
			continue // deleted, not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, trace := range traces {
			if i := strings.Index(string(text), trace); i >= 0 {
				t.Errorf("%s:%d names %s, which exists only on this machine", name, 1+strings.Count(string(text[:i]), "\n"), trace)
			}
		}
	}
}

// foldersAbove returns the folders that hold the checkout, but for those that every machine has.
func foldersAbove(t *testing.T) []string {
	t.Helper()
	everywhere := []string{"/", "/tmp/", "/root/", "/home/", "/var/", "/var/tmp/", "/usr/", "/usr/src/", "/opt/", "/srv/", "/mnt/", "/run/", "/go/", "/go/src/", "/src/", "/app/"}
	dir, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for dir = filepath.Dir(dir); dir != "/"; dir = filepath.Dir(dir) {
		if folder := dir + "/"; !slices.Contains(everywhere, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

func registryHosts(t *testing.T) []string {
	t.Helper()
	var hosts []string
	proxies := strings.TrimSpace(command(t, "go", "env", "GOPROXY"))
	for _, proxy := range strings.FieldsFunc(proxies, func(r rune) bool { return r == ',' || r == '|' }) {
		if u, err := url.Parse(proxy); err == nil && u.Hostname() != "" {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}
