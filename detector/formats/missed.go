package formats

import (
	"path/filepath"
	"regexp"
	"strings"
)

// A loop that saves what an exporter says leaves an empty file when nobody
// answered, a page of the proxy's when the proxy did, and half a file when it
// was stopped meanwhile. Between others of its kind such a file is a moment
// that was missed, not a recording that cannot be read.

// adopt gives each file that is no format we know to the run of scrapes in its
// directory whose names differ from its own in their numbers alone. Where
// nothing is such a run, it stays a source by itself.
func adopt(sources []Source, by map[string]int) []Source {
	runs := map[string]int{}
	for key, i := range by {
		if kind, _, _ := strings.Cut(key, " "); kind != "scrapes" && kind != "vectors" {
			continue
		}
		for _, f := range sources[i].Files {
			runs[unnumbered(f.Path)] = i
		}
	}
	stays := make([]bool, len(sources))
	for i, s := range sources {
		run, ok := runs[unnumbered(s.Files[0].Path)]
		stays[i] = s.Format != "" || s.Err != nil || !ok
		if !stays[i] {
			sources[run].join(s.Files[0], filepath.Dir(s.Path))
		}
	}
	out := sources[:0]
	for i, s := range sources {
		if stays[i] {
			out = append(out, s)
		}
	}
	return out
}

var digits = regexp.MustCompile(`\d+`)

// unnumbered is a path with every number in the file's name as one sign.
func unnumbered(path string) string {
	dir, name := filepath.Split(strings.TrimSuffix(path, ".gz"))
	return dir + digits.ReplaceAllString(name, "#")
}

// missed counts the scrapes of a run that hold nothing, and puts off what may
// be half a line until it is known how the others end.
type missed struct {
	empty int
	tails []*scrape
	ended bool // some scrape ends with a whole line
}

// saw takes note of how a scrape ended. A page of a proxy's in its place, or
// what could not be read, says nothing of how the others end.
func (m *missed) saw(s *scrape, err error) {
	if s.tail != "" {
		m.tails = append(m.tails, s)
	} else if s.memory && err == nil {
		m.ended = true
	}
}

// tell says how many scrapes were missed.
func (m *missed) tell(r *Reading, files int) {
	if m.empty > 0 {
		r.note(0, "empty scrapes: %d of %d; nothing is known of their times", m.empty, files)
	}
}

// end takes the line that has no end, or leaves it out where it was cut: half
// a line may be half a number.
func (s *scrape) end(cut bool) {
	if cut {
		s.notes.note(s.tailAt, "the scrape was cut off in this line, which is left out")
		return
	}
	s.line(s.tail, s.tailAt)
	s.settle()
}
