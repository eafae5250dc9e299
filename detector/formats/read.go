package formats

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// Read reads a source. A file of several that cannot be used is a note, and so
// is an end before the end (a copy cut short, a broken gzip); the error is only
// for a source of which nothing can be used.
func (s Source) Read(o Options) (Reading, error) {
	if s.Err != nil {
		return Reading{}, s.Err
	}
	r, err := s.read(o)
	if err != nil && r.usable() {
		r.note(0, "read up to here only: %s", err)
		err = nil
	}
	r.tell()
	return r, err
}

func (s Source) read(o Options) (Reading, error) {
	switch s.Format {
	case FormatCollectd:
		return readCollectd(s.Files)
	case FormatPrometheus, FormatOpenMetrics, FormatPromJSON:
		return s.readScrapes(o)
	}
	if len(s.Files) == 1 {
		return s.readFile(s.Files[0])
	}
	var all Reading
	var errs []error
	for _, f := range s.Files {
		r, err := s.readFile(f)
		if err != nil {
			all.note(0, "%s: %s", filepath.Base(f.Path), err)
			errs = append(errs, err)
		}
		all.append(r, filepath.Base(f.Path))
	}
	if len(errs) == len(s.Files) {
		return all, errs[0]
	}
	return all, nil
}

// append adds the reading of one file of several.
func (r *Reading) append(one Reading, name string) {
	r.Processes = append(r.Processes, one.Processes...)
	r.Droplets = append(r.Droplets, one.Droplets...)
	r.Workers = append(r.Workers, one.Workers...)
	r.Held = append(r.Held, one.Held...)
	r.Calls = append(r.Calls, one.Calls...)
	r.Evidence = append(r.Evidence, one.Evidence...)
	r.ValueOnly = r.ValueOnly || one.ValueOnly
	r.untold += one.untold
	for _, n := range one.Notes {
		r.note(n.Line, "%s: %s", name, n.Text)
	}
}

func (s Source) readFile(f File) (r Reading, err error) {
	in, err := f.Open()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	switch s.Format {
	case FormatMProf:
		return MProf(in, s.Name)
	case FormatPS:
		return PS(in, s.Name)
	case FormatLineTable:
		return LineTables(in)
	}
	r, err = CSV(in, s.Name)
	if err != nil && s.Format == "" && len(r.Processes) == 0 && !errors.Is(err, ErrEmpty) {
		err = fmt.Errorf("no format that is known; as CSV: %w", err)
	}
	return r, err
}

// readScrapes reads dumps and answers of Prometheus, which share the series
// they are about.
func (s Source) readScrapes(o Options) (Reading, error) {
	var r Reading
	into := newSeries()
	var run missed
	var errs []error
	for _, f := range s.Files {
		one := scrape{into: into, notes: &Reading{}, format: s.Format, file: f}
		err := s.scrape(&one)
		switch {
		case errors.Is(err, ErrEmpty) && len(s.Files) > 1:
			run.empty++
			continue
		case err != nil:
			errs = append(errs, err)
			if len(s.Files) > 1 {
				r.note(0, "%s: %s", filepath.Base(f.Path), err)
			}
		}
		run.saw(&one, err)
		s.hear(&r, one)
	}
	for _, one := range run.tails {
		one.end(run.ended)
		s.hear(&r, *one)
	}
	run.tell(&r, len(s.Files))
	into.into(&r, s.Name, o)
	if !r.usable() && len(errs) > 0 {
		return r, errs[0]
	}
	return r.done()
}

// hear hands on what was noted of one scrape.
func (s Source) hear(r *Reading, one scrape) {
	for _, n := range one.notes.Notes {
		if len(s.Files) > 1 {
			n.Text = filepath.Base(one.file.Path) + ": " + n.Text
		}
		r.note(n.Line, "%s", n.Text)
	}
	r.untold += one.notes.untold
	*one.notes = Reading{}
}

func (s Source) scrape(one *scrape) (err error) {
	in, err := one.file.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	buffered := bufio.NewReader(in)
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		return ErrEmpty
	}
	if s.Format == FormatPromJSON {
		return readPromJSON(buffered, one.into, one.notes)
	}
	if at, ok := timeInName(filepath.Base(one.file.Path)); ok {
		one.at = at
	} else if !one.file.Modified.IsZero() {
		one.at, one.from = one.file.Modified, describe(one.file)
	}
	return one.read(buffered)
}

// Reader makes a File of a stream that can be read only once, such as
// standard input.
func Reader(path string, in io.Reader) File {
	opened := false
	return File{Path: path, Open: func() (io.ReadCloser, error) {
		if opened {
			return nil, fmt.Errorf("%s can be read only once", path)
		}
		opened = true
		return io.NopCloser(in), nil
	}}
}
