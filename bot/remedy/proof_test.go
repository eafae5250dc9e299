package remedy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestProofsAreThere: the tests that pages name as proofs exist.
func TestProofsAreThere(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		code.Write(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"docs/run.md", "docs/sources/README.md", "docs/slack.md"} {
		text, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		_, proofs, found := strings.Cut(string(text), "## How it is proved")
		named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(proofs, -1)
		if !found || len(named) < 40 {
			t.Fatalf("%s: %d proofs named", page, len(named))
		}
		for _, n := range named {
			if !strings.Contains(code.String(), "func "+n[1]+"(") {
				t.Errorf("%s names %s, which is not there", page, n[1])
			}
		}
	}
}
