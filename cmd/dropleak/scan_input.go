package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dropleak/dropleak/detector/formats"
)

// expand turns arguments into sources; directories are walked in the order of
// their names, hidden files left out. With format "" the content of each file
// decides what it is.
func expand(args []string, stdin io.Reader, format formats.Format) ([]formats.Source, error) {
	var found []formats.Source
	for i, arg := range args {
		if arg == "-" {
			if slices.Contains(args[:i], arg) {
				return nil, errors.New("- stands for standard input, which can be read only once")
			}
			s, err := standardInput(stdin, format)
			if err != nil {
				return nil, err
			}
			found = append(found, s)
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			found = append(found, formats.Source{Path: arg, Err: err}) // the others are judged all the same
			continue
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			found = append(found, pipe(arg, format))
			continue
		}
		if !info.IsDir() {
			found = append(found, formats.One(fileAt(arg, info), format))
			continue
		}
		files := walk(arg)
		if len(files) == 0 {
			found = append(found, formats.Source{Path: arg, Err: errors.New("the directory holds no files")})
		}
		found = append(found, formats.Gather(arg, files, format)...)
	}
	return found, nil
}

// walk finds the files below a directory. One that cannot be looked at, or a
// directory that cannot be read, is a file that cannot be opened: the others
// are judged all the same.
func walk(dir string) (found []formats.File) {
	broken := func(path string, err error) {
		found = append(found, formats.File{Path: path, Open: func() (io.ReadCloser, error) { return nil, err }})
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			broken(path, err)
			return nil
		case strings.HasPrefix(d.Name(), ".") && path != dir && d.IsDir():
			return filepath.SkipDir
		case strings.HasPrefix(d.Name(), ".") && path != dir, d.IsDir():
			return nil
		}
		info, err := os.Stat(path) // through a link
		switch {
		case err != nil:
			broken(path, err)
		case info.Mode().IsRegular():
			found = append(found, fileAt(path, info))
		}
		return nil
	})
	return found
}

// withoutPath is an error about a file without the file's path, which stands
// before it where it is told.
func withoutPath(err error, path string) error {
	var about *fs.PathError
	if errors.As(err, &about) && about.Path == path {
		return about.Err
	}
	return err
}

func fileAt(path string, info fs.FileInfo) formats.File {
	return formats.File{Path: path, Modified: info.ModTime(), Open: func() (io.ReadCloser, error) { return openFile(path) }}
}

// standardInput is what comes in.
func standardInput(stdin io.Reader, format formats.Format) (formats.Source, error) {
	in, err := unzip(stdin, io.NopCloser(nil))
	if err != nil {
		return formats.Source{}, fmt.Errorf("standard input: %w", err)
	}
	return once("-", "stdin", in, format), nil
}

// pipe is a file that can be read only once: a fifo, or what a shell makes of
// <(command). It stays open until the process ends.
func pipe(path string, format formats.Format) formats.Source {
	in, err := openFile(path)
	if err != nil {
		return formats.Source{Path: path, Err: err}
	}
	return once(path, formats.BaseName(path), in, format)
}

// once looks at the beginning of what can be read only once and hands all of
// it on.
func once(path, name string, in io.Reader, format formats.Format) formats.Source {
	buffered := bufio.NewReaderSize(in, formats.HeadSize)
	s := formats.Source{Path: path, Name: name, Format: format, Files: []formats.File{formats.Reader(path, buffered)}}
	if format == "" {
		head, err := buffered.Peek(formats.HeadSize)
		if err != nil && !errors.Is(err, io.EOF) {
			s.Err = err
		}
		s.Format = formats.Detect(head)
	}
	return s
}

// openFile opens a file, through gzip when it begins like a gzip file.
func openFile(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	in, err := unzip(f, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return in, nil
}

func unzip(raw io.Reader, closer io.Closer) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(raw, 64<<10)
	if magic, err := buffered.Peek(2); err != nil || !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return readCloser{buffered, closer}, nil
	}
	zipped, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("read gzip: %w", err)
	}
	return readCloser{zipped, closer}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}
