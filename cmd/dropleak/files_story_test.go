package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/testbed"
)

// TestFilesStory follows docs/sources/files.md: the loops write what scan
// reads, the session is what scan prints, and what is imported is exported.
func TestFilesStory(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 37)
	growing(t, "files@web-1")
	exporter := testbed.ProcessExporter(t, passages(t, "prometheus.md", "process-exporter"))

	w.loop(passages(t, "files.md", "ps"), func() string { return w.scans("ps.log") })
	if err := os.Mkdir(filepath.Join(w.dir, "scrapes"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.loop(strings.ReplaceAll(passages(t, "files.md", "scrapes"), "localhost:9256", exporter.Addr), func() string { return w.follow("files.md", "scan") })

	c, err := made("l1", 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(w.dir, "ps.log"), func(out io.Writer) error { return writeAs["ps"](out, c) }); err != nil {
		t.Fatal(err)
	}
	prompt, shown, _ := strings.Cut(passages(t, "files.md", "session"), "\n")
	command, ok := strings.CutPrefix(prompt, "$ dropleak scan ")
	if said := w.scans(command); !ok || !strings.HasPrefix(said, strings.TrimSuffix(strings.TrimSpace(shown), " …")) {
		t.Errorf("the page shows\n%s\nand scan prints\n%s", shown, said)
	}

	w.follow("files.md", "history")
	exported, err := os.ReadFile(filepath.Join(w.dir, "mail.csv"))
	if rows := strings.Count(string(exported), "\n"); err != nil || rows < 100 || !strings.Contains(string(exported), "4711,mail@web1,") {
		t.Errorf("%d rows were exported, %v", rows, err)
	}
}

// loop runs a loop of the page, a round each second, until what it writes
// tells of the worker.
func (w *town) loop(commands string, scan func() string) {
	w.t.Helper()
	testbed.Eventually(w.t, testbed.Patience, func() error {
		cmd := w.shell("timeout 5 sh -c \"$LOOP\" || test $? = 124")
		cmd.Env = append(cmd.Env, "LOOP="+strings.Replace(commands, "sleep 60", "sleep 1", 1))
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", commands, err, said)
		}
		if said := scan(); !strings.Contains(said, "files@web-1 ") {
			return fmt.Errorf("%s tells of no worker:\n%s", commands, said)
		}
		return nil
	})
}

// scans is what scan prints of a file, leaks or not.
func (w *town) scans(file string) string {
	w.t.Helper()
	said, err := w.shell("dropleak scan " + file + " || test $? = 1").Output()
	if err != nil {
		w.t.Fatalf("scan %s: %v", file, err)
	}
	return string(said)
}
