package formats

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// LineGrowth is a source line under @profile and what it added.
type LineGrowth struct {
	File   string
	Line   int
	Text   string
	Grew   float64 // bytes, over all runs printed
	Runs   int
	Tables int // how often the function was printed
}

var lineRow = regexp.MustCompile(`^\s*(\d+)\s+(-?[0-9.]+) MiB\s+(-?[0-9.]+) MiB(?:\s+(\d+))?(?:\s\s+(.*))?$`)

// lineTables sums the tables that memory_profiler prints after each call of a
// function under @profile.
type lineTables struct {
	by    map[string]*LineGrowth
	file  string
	first bool // the next row is a table's first: its increment is where the process stood
	rows  int
}

// maxTableLines bounds the source lines told apart.
const maxTableLines = 100_000

// mostGrowth, in MiB, is more than a machine has; what is above is no size.
const mostGrowth = 1 << 30

// LineTables reads the tables of memory_profiler's @profile. They carry no
// time, so there is nothing to judge: what comes back is evidence, the lines
// that grew, largest first.
func LineTables(in io.Reader) (Reading, error) {
	var r Reading
	t := lineTables{by: map[string]*LineGrowth{}}
	l := newLines(in, r.tooLong)
	for l.next() {
		t.take(l.text)
	}
	if l.err != nil {
		return r, l.err
	}
	if t.rows == 0 {
		return r, fmt.Errorf("the table has no line with a size: %w", ErrNoRows)
	}
	r.note(0, "line tables carry no times; they name lines and give no verdict")
	r.Evidence = lineEvidence(t.grown())
	return r, nil
}

func (t *lineTables) take(line string) {
	if name, ok := strings.CutPrefix(line, "Filename: "); ok {
		t.file = path.Base(strings.TrimSpace(name))
		return
	}
	if lineTableHead.MatchString(line) {
		t.first = true
		return
	}
	m := lineRow.FindStringSubmatch(line)
	if m == nil {
		return
	}
	t.rows++
	number, err := strconv.Atoi(m[1])
	grew, err2 := strconv.ParseFloat(m[3], 64)
	if err != nil || err2 != nil || math.Abs(grew) > mostGrowth {
		return
	}
	if t.first {
		t.first = false
		return
	}
	key := t.file + ":" + m[1]
	g := t.by[key]
	if g == nil {
		if len(t.by) >= maxTableLines {
			return
		}
		g = &LineGrowth{File: t.file, Line: number, Text: strings.TrimSpace(m[5])}
		t.by[key] = g
	}
	g.Grew += grew * mebibyte
	g.Tables++
	g.Runs += max(number32(m[4]), 1)
}

// grown lists the lines that added memory, largest first.
func (t *lineTables) grown() (out []LineGrowth) {
	for _, g := range t.by {
		if g.Grew > 0 {
			out = append(out, *g)
		}
	}
	slices.SortFunc(out, func(a, b LineGrowth) int {
		return cmp.Or(cmp.Compare(b.Grew, a.Grew), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return out
}

func lineEvidence(grown []LineGrowth) (out []string) {
	if len(grown) == 0 {
		return []string{"No line under @profile grew."}
	}
	for i, g := range grown {
		if i == mostNamed {
			break
		}
		noun := "tables"
		if g.Tables == 1 {
			noun = "table"
		}
		out = append(out, fmt.Sprintf("%s:%d grew %s in %d %s: %.120s.", g.File, g.Line, mib(g.Grew), g.Tables, noun, g.Text))
	}
	return out
}
