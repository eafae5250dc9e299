package slacksim_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPageKnowsEmoji: every emoji that the bot's sources and golden messages
// name is in the page's table; Slack's clients know them all.
func TestPageKnowsEmoji(t *testing.T) {
	page, err := os.ReadFile("page/index.html")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "const emoji = {")
	table, _, _ = strings.Cut(table, "};")
	named := regexp.MustCompile(`(?:^|[" \n(])(:[a-z][a-z_]+:)(?:[" \n]|$)`)
	seen := 0
	for _, glob := range []string{"../chat/*.go", "../report/*.go", "../chat/testdata/*.json", "../report/testdata/*.json"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			body, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range named.FindAllStringSubmatch(string(body), -1) {
				seen++
				if name := strings.Trim(m[1], ":"); !strings.Contains(table, " "+name+": ") {
					t.Errorf("%s: the page's table lacks %s", f, m[1])
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d emoji seen: the search is broken", seen)
	}
}
