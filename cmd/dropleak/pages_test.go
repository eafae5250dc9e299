package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// passage is one fenced block of a page of docs/sources.
type passage struct {
	page, name, text string
	line             int
}

// pages are the pages of docs/sources by their names.
func pages(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("..", "..", "docs", "sources", "*.md"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for i, path := range found {
		found[i] = filepath.Base(path)
	}
	return slices.DeleteFunc(found, func(name string) bool { return name == "README.md" }) // it only lists the others
}

// readPage returns the fenced blocks of a page, and what else on it looks like
// a command: a line that is indented as code.
func readPage(t testing.TB, page string) (blocks []passage, indented []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "sources", page))
	if err != nil {
		t.Fatal(err)
	}
	open := false
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		fence, is := strings.CutPrefix(line, "```")
		switch {
		case is && !open:
			_, name, _ := strings.Cut(fence, " ")
			open, blocks = true, append(blocks, passage{page: page, name: name, line: n})
		case is:
			open = false
		case open:
			blocks[len(blocks)-1].text += line + "\n"
		case strings.HasPrefix(line, "    "):
			indented = append(indented, fmt.Sprintf("%s:%d: %s", page, n, line))
		}
	}
	return blocks, indented
}

// passages returns the blocks of a page that carry a name after the language.
func passages(t testing.TB, page, name string) string {
	t.Helper()
	var out string
	blocks, _ := readPage(t, page)
	for _, b := range blocks {
		if b.name == name {
			out += b.text
		}
	}
	if out == "" {
		t.Fatalf("%s has no block %q", page, name)
	}
	return out
}

// follow runs the commands of a block as its reader would, with words replaced
// in pairs. What leaks are found is no failure.
func (w *town) follow(page, name string, pairs ...string) string {
	w.t.Helper()
	cmd := w.shell(strings.NewReplacer(pairs...).Replace(passages(w.t, page, name)))
	var talk strings.Builder
	cmd.Stderr = &talk
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && strings.Contains(string(out), "leak") {
		err = nil
	}
	if err != nil {
		w.t.Fatalf("the block %q of %s: %v\n%s%s", name, page, err, out, talk.String())
	}
	return strings.TrimSpace(string(out))
}

// shell is a shell that knows dropleak and the town's configuration.
func (w *town) shell(commands string) *exec.Cmd {
	cmd := exec.CommandContext(w.t.Context(), "bash", "-euo", "pipefail", "-c", strings.ReplaceAll(commands, "/etc/dropleak/dropleak.yaml", w.config))
	cmd.Env = append(w.env, "PATH="+filepath.Dir(w.dropleak)+":"+os.Getenv("PATH"))
	cmd.Dir = w.dir
	return cmd
}

// packaged holds the packages that a page has its reader install to those that
// are installed here: what follows was run with them.
func packaged(t *testing.T, page, name string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(passages(t, page, name)), "\n") {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "apt" || words[1] != "install" {
			t.Fatalf("%s: %q installs nothing", page, line)
		}
		for _, p := range words[2:] {
			if said, err := exec.Command("dpkg-query", "-W", "-f=${db:Status-Status}", p).CombinedOutput(); err != nil || string(said) != "installed" {
				t.Errorf("%s: the package %s is %s here: %v", page, p, said, err)
			}
		}
	}
}

// TestEveryBlockIsFollowed holds the pages of docs/sources to the stories: each
// block carries a name and is one that a test takes from the page, so that a
// wrong word there stops a story. There is no other way to write a command.
func TestEveryBlockIsFollowed(t *testing.T) {
	taken := map[string]bool{}
	sources, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`(?:passages\((?:w\.)?t, |packaged\(t, |\.follow\()"([a-z]+\.md)", "([a-z_-]+)"`)
	for _, path := range sources {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			taken[m[1]+" "+m[2]] = true
		}
	}
	for _, page := range pages(t) {
		blocks, indented := readPage(t, page)
		if len(blocks) == 0 {
			t.Errorf("%s holds nothing to follow", page)
		}
		for _, b := range blocks {
			if !taken[page+" "+b.name] {
				t.Errorf("%s:%d: no test takes the block %q", page, b.line, b.name)
			}
		}
		for _, line := range indented {
			t.Errorf("%s: give it a fence and a name, and have a test run it", line)
		}
	}
}
