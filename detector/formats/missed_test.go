package formats

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMissedScrapes reads directories in which some moment was missed.
func TestMissedScrapes(t *testing.T) {
	const later = "process_resident_memory_bytes 70000\n"
	vectors := strings.Replace(vector, "[1,", "[61,", 1)
	none := "no usable row: the file is empty"
	tests := map[string]struct {
		files []string // name: content
		want  []string // a source with its samples and notes, or why not
	}{
		"empty at the end": {[]string{"s/1795456898.prom: " + promText, "s/1795456958.prom: " + later, "s/1795457018.prom: "},
			[]string{"s s 1795456898=5 1795456958=70000; empty scrapes: 1 of 3; nothing is known of their times"}},
		"empty at the beginning and between": {[]string{"s/1795456898.prom: ", "s/1795456958.prom: " + promText, "s/1795457018.prom.gz: ", "s/1795457078.prom: " + later},
			[]string{"s s 1795456958=5 1795457078=70000; empty scrapes: 2 of 4; nothing is known of their times"}},
		"one beside an empty one": {[]string{"s/1795456898.prom: " + promText, "s/1795456958.prom: "},
			[]string{"s s 1795456898=5; empty scrapes: 1 of 2; nothing is known of their times"}},
		"OpenMetrics": {[]string{"s/1795456898.om: " + omText, "s/1795456958.om: "},
			[]string{"s s 1=5; empty scrapes: 1 of 2; nothing is known of their times"}},
		"answers of the API": {[]string{"s/1.json: " + vector, "s/2.json: ", "s/3.json: " + vectors, "s/4.json: {"},
			[]string{"s a 1=2 61=2; 4.json: read JSON: EOF; empty scrapes: 1 of 4; nothing is known of their times; series without a name are taken for resident memory"}},
		"a page of the proxy's": {[]string{"s/1795456898.prom: " + promText, "s/1795456958.prom: <html>\n"},
			[]string{`s s 1795456898=5; 1: 1795456958.prom: "<html>" is no sample`}},
		"cut off in a number": {[]string{"s/1795456898.prom: " + promText, "s/1795456958.prom: " + strings.TrimSuffix(later, "000\n")},
			[]string{"s s 1795456898=5; 1: 1795456958.prom: the scrape was cut off in this line, which is left out"}},
		"cut off in the first word": {[]string{"s/1795456898.prom: " + promText, "s/1795456958.prom: # HE"},
			[]string{"s s 1795456898=5; 1: 1795456958.prom: the scrape was cut off in this line, which is left out"}},
		"nobody ends the last line": {[]string{"s/1795456898.prom: " + strings.TrimSpace(promText), "s/1795456958.prom: " + strings.TrimSpace(later)},
			[]string{"s s 1795456898=5 1795456958=70000"}},
		"nobody ends the last line, but a page of the proxy's": {[]string{"s/1795456898.prom: " + strings.TrimSpace(promText), "s/1795456958.prom: <html>\n", "s/1795457018.prom: " + strings.TrimSpace(later)},
			[]string{`s s 1795456898=5 1795457018=70000; 1: 1795456958.prom: "<html>" is no sample`}},
		"nobody ends the last line, but one without a process": {[]string{"s/1795456898.prom: " + strings.TrimSpace(promText), "s/1795456958.prom: up 0\n", "s/1795457018.prom: " + strings.TrimSpace(later)},
			[]string{`s s 1795456898=5 1795457018=70000`}},
		"empty and alone":                {[]string{"s/1795456898.prom: "}, []string{"s/1795456898.prom 1795456898: " + none}},
		"empty ones alone":               {[]string{"s/1795456898.prom: ", "s/1795456958.prom: "}, []string{"s/1795456898.prom 1795456898: " + none, "s/1795456958.prom 1795456958: " + none}},
		"empty, of another kind":         {[]string{"s/1795456898.prom: " + promText, "s/1795456958.csv: "}, []string{"s/1795456898.prom 1795456898 1795456898=5", "s/1795456958.csv 1795456958: " + none}},
		"empty, in another directory":    {[]string{"s/1795456898.prom: " + promText, "t/1795456958.prom: "}, []string{"s/1795456898.prom 1795456898 1795456898=5", "t/1795456958.prom 1795456958: " + none}},
		"empty beside logs":              {[]string{"s/w1.csv: " + csvText, "s/w2.csv: "}, []string{"s/w1.csv w1 1=2 2=3", "s/w2.csv w2: " + none}},
		"empty beside a dump of its own": {[]string{"s/1.prom: " + dumpText, "s/2.prom: "}, []string{"s/1.prom 1 1=5 2=6", "s/2.prom 2: " + none}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var files []File
			for _, f := range test.files {
				path, content, _ := strings.Cut(f, ": ")
				files = append(files, text(path, content, at(0)))
			}
			var got []string
			for _, s := range Gather("s", files, "") {
				got = append(got, told(s))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("sources (-want +got):\n%s", diff)
			}
		})
	}
}

// told is a source in one line: its path and worker, its samples, its notes.
func told(s Source) string {
	r, err := s.Read(Options{})
	if err != nil {
		return fmt.Sprintf("%s %s: %s", s.Path, s.Name, err)
	}
	worker, line := "", ""
	for _, p := range r.Processes {
		worker, line = p.Worker, line+fmt.Sprintf(" %d=%v", p.At.Unix(), p.RSS)
	}
	line = s.Path + " " + worker + line
	for _, n := range r.Notes {
		if n.Line > 0 {
			n.Text = fmt.Sprintf("%d: %s", n.Line, n.Text)
		}
		line += "; " + n.Text
	}
	return line
}
