package rivals

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var (
	docFlag    = flag.String("doc", "", "write the tables into this Markdown page, between its markers")
	commitFlag = flag.String("commit", "", "the commit measured, for the page")
)

// The tables stand between these lines of a page.
const (
	docBegin = "<!-- measured -->\n"
	docEnd   = "<!-- /measured -->\n"
)

// publish returns the page with the text between its markers replaced.
func publish(page, text string) (string, error) {
	before, rest, ok := strings.Cut(page, docBegin)
	_, after, closed := strings.Cut(rest, docEnd)
	if !ok || !closed {
		return "", fmt.Errorf("find the lines %q and %q", strings.TrimSpace(docBegin), strings.TrimSpace(docEnd))
	}
	return before + docBegin + strings.TrimRight(text, "\n") + "\n" + docEnd + after, nil
}

// provenance says what a run measured, when, and at which commit.
func (r *report) provenance(at time.Time) string {
	text := fmt.Sprintf("Run of %s", at.UTC().Format(time.DateOnly))
	if *commitFlag != "" {
		text += " at commit " + *commitFlag
	}
	text += fmt.Sprintf(": %d series a family from seed %s, %d looks each", r.made, thousands(*firstFlag), *looksFlag)
	if n := *rivalsFlag; n == 0 {
		text += ", without rivals"
	} else if n > 0 && n < r.made {
		text += fmt.Sprintf("; the rivals on the first %d a family, as their wide intervals show", n)
	}
	return text + ".\nA cell of the table by family holds precision where half the workers leak, recall, F1 and the median time to alarm;\n" +
		"for a healthy family the share with a false alarm.\n\n"
}

// thousands writes a number with commas.
func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// publishTo writes the run into a page on disk.
func (r *report) publishTo(path string, at time.Time) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString(r.provenance(at))
	r.print(&text, markdown)
	out, err := publish(string(page), text.String())
	if err != nil {
		return fmt.Errorf("publish in %s: %w", path, err)
	}
	return os.WriteFile(path, []byte(out), 0o644)
}

func TestPublishReplacesWhatStandsBetweenTheMarkers(t *testing.T) {
	page := "# Page\n" + docBegin + "old\n" + docEnd + "rest\n"
	got, err := publish(page, "new\n\n")
	if want := "# Page\n" + docBegin + "new\n" + docEnd + "rest\n"; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, page := range []string{"no marker\n", docBegin + "never closed\n", docEnd + docBegin} {
		if got, err := publish(page, "new"); err == nil {
			t.Errorf("published into %q: %q", page, got)
		}
	}
	if got := thousands(60_000_000); got != "60,000,000" {
		t.Errorf("thousands: %s", got)
	}
}
