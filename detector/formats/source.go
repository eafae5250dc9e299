package formats

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Source is what is judged as one: a file, or files that belong together.
type Source struct {
	Path   string // of the file, or of the directory that holds the files
	Name   string // of the worker, where the content names none
	Format Format // "": not known
	Files  []File
	Err    error // why a file could not be looked at
}

// One is the source of a single file. With format "" its content decides.
func One(f File, format Format) Source {
	s := Source{Path: f.Path, Name: BaseName(f.Path), Format: format, Files: []File{f}}
	if format == "" {
		head, err := headOf(f)
		s.Format, s.Err = Detect(head), err
	}
	return s
}

// Gather makes sources of the files below a directory, in the order of their
// paths: a collectd host tree, the scrapes of one directory (those that are
// empty or broken with them) and rotated logs are one source each, anything
// else is one by itself. With format "" the
// content of each file decides what it is.
func Gather(root string, files []File, format Format) []Source {
	var out []Source
	by := map[string]int{} // of a source of several files, in out
	names := map[string]bool{}
	for _, f := range files {
		names[f.Path] = true
	}
	for _, f := range files {
		s := One(f, format)
		key, dir := together(root, f, s, names)
		if key == "" {
			out = append(out, s)
			continue
		}
		if i, ok := by[key]; ok {
			out[i].join(f, dir)
			continue
		}
		by[key] = len(out)
		if s.Format == FormatCollectd {
			s.Path, s.Name = dir, filepath.Base(dir)
		}
		out = append(out, s)
	}
	out = adopt(out, by)
	for i := range out {
		slices.SortStableFunc(out[i].Files, func(a, b File) int { return olderFirst(a.Path, b.Path) })
	}
	return out
}

// join adds a file that belongs to a source; dir is what the source is called
// from then on.
func (s *Source) join(f File, dir string) {
	if len(s.Files) == 1 { // it is several only now
		s.Path, s.Name = dir, sourceName(*s, dir, f)
	}
	s.Files = append(s.Files, f)
}

// together names the source a file shares with others, and its directory; ""
// for a file that stands alone.
func together(root string, f File, s Source, names map[string]bool) (key, dir string) {
	dir = filepath.Dir(f.Path)
	switch s.Format {
	case FormatCollectd:
		host := filepath.Dir(dir)
		if !within(root, host) {
			host = filepath.Clean(root)
		}
		return "collectd " + host, host
	case FormatPrometheus, FormatOpenMetrics:
		if s.Err == nil && !manyMoments(f) {
			return "scrapes " + dir, dir
		}
	case FormatPromJSON:
		if s.Err == nil && !isMatrix(f) {
			return "vectors " + dir, dir
		}
	}
	if s.Format == "" {
		return "", dir
	}
	base, rotated := rotatedFrom(f.Path)
	switch {
	case !rotated || s.Format == FormatCSV && !names[base] && !names[base+".gz"]:
		base = f.Path
	case !names[base] && names[base+".gz"]:
		base += ".gz"
	}
	return "log " + string(s.Format) + " " + base, dir
}

func within(root, path string) bool {
	rel, err := filepath.Rel(root, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// sourceName is what a source calls a worker that nothing else names.
func sourceName(s Source, dir string, f File) string {
	switch s.Format {
	case FormatCollectd:
		return s.Name
	case FormatPrometheus, FormatOpenMetrics, FormatPromJSON:
		if abs, err := filepath.Abs(dir); err == nil {
			return filepath.Base(abs)
		}
	}
	if base, ok := rotatedFrom(f.Path); ok {
		return BaseName(base)
	}
	return s.Name
}

// rotation is what log rotation appends: .1, .2.gz, -20261122, .2026-11-22.
var rotation = regexp.MustCompile(`^(.+?)(?:\.(\d{1,3})|[-.](\d{4}-?\d{2}-?\d{2}(?:[-T]\d{2,6})?))$`)

// rotatedFrom is the path of the log that a rotated one was; false where the
// name shows no rotation.
func rotatedFrom(path string) (string, bool) {
	m := rotation.FindStringSubmatch(strings.TrimSuffix(path, ".gz"))
	if m == nil || strings.HasSuffix(m[1], string(filepath.Separator)) {
		return "", false
	}
	return m[1], true
}

// olderFirst orders the files of a source by time as their names tell it:
// rotated logs with high numbers first and the running one last.
func olderFirst(a, b string) int {
	na, nb := rotationNumber(a), rotationNumber(b)
	return cmp.Or(cmp.Compare(nb, na), strings.Compare(dated(a), dated(b)), strings.Compare(a, b))
}

func rotationNumber(path string) int {
	if m := rotation.FindStringSubmatch(strings.TrimSuffix(path, ".gz")); m != nil {
		return number32(m[2])
	}
	return 0
}

// dated sorts a running log behind the dated ones.
func dated(path string) string {
	if m := rotation.FindStringSubmatch(strings.TrimSuffix(path, ".gz")); m != nil && m[3] != "" {
		return m[1] + " " + m[3]
	}
	return path + "~"
}

// BaseName is a file's name less .gz and extension.
func BaseName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	if ext := filepath.Ext(name); ext != name {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

func headOf(f File) ([]byte, error) {
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	head := make([]byte, HeadSize)
	n, err := io.ReadFull(in, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], errors.Join(err, in.Close())
}

// manyMoments reports whether a dump holds one series at several times: it
// then is a recording of its own and not one scrape of a run.
func manyMoments(f File) bool {
	head, err := headOf(f)
	if err != nil {
		return false
	}
	stamps := map[string]float64{}
	for line := range strings.Lines(string(head)) {
		p, err := parsePromLine(strings.TrimSpace(line))
		if err != nil || !p.hasStamp {
			continue
		}
		key := fmt.Sprint(p.labels)
		if was, ok := stamps[key]; ok && was != p.stamp {
			return true
		}
		stamps[key] = p.stamp
	}
	return false
}

// isMatrix reports whether an answer of Prometheus holds series, not moments.
func isMatrix(f File) bool {
	head, err := headOf(f)
	return err == nil && strings.Contains(string(head), `"values"`)
}
