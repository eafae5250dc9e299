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

// input is one file to judge, or standard input.
type input struct {
	path string
	name string // of its worker, unless the rows say otherwise
}

// expand turns arguments into inputs; directories are walked in the order of
// their names, hidden files left out.
func expand(args []string) ([]input, error) {
	var found []input
	for _, arg := range args {
		if arg == "-" {
			found = append(found, input{path: "-", name: "stdin"})
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			found = append(found, fileInput(arg))
			continue
		}
		under, err := walk(arg)
		if err != nil {
			return nil, err
		}
		if len(under) == 0 {
			return nil, fmt.Errorf("%s holds no files", arg)
		}
		found = append(found, under...)
	}
	return found, nil
}

func walk(dir string) (found []input, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".") && path != dir && d.IsDir():
			return filepath.SkipDir
		case d.Type().IsRegular() && !strings.HasPrefix(d.Name(), "."):
			found = append(found, fileInput(path))
		}
		return nil
	})
	return found, err
}

// fileInput names the worker after the base name less .gz and extension.
func fileInput(path string) input {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	if ext := filepath.Ext(name); ext != name {
		name = strings.TrimSuffix(name, ext)
	}
	return input{path: path, name: name}
}

// read reads the samples of one input.
func (in input) read(stdin io.Reader) (formats.Reading, error) {
	r, err := in.open(stdin)
	if err != nil {
		return formats.Reading{}, err
	}
	reading, err := formats.CSV(r, in.name)
	return reading, errors.Join(err, r.Close())
}

// open opens an input, through gzip when it begins like a gzip file.
func (in input) open(stdin io.Reader) (io.ReadCloser, error) {
	raw := io.NopCloser(stdin)
	if in.path != "-" {
		f, err := os.Open(in.path)
		if err != nil {
			return nil, err
		}
		raw = f
	}
	buffered := bufio.NewReaderSize(raw, 64<<10)
	if magic, err := buffered.Peek(2); err != nil || !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return readCloser{buffered, raw}, nil
	}
	zipped, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read gzip: %w", err), raw.Close())
	}
	return readCloser{zipped, raw}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// paths lists what will be read, without duplicates.
func paths(ins []input) []string {
	var out []string
	for _, in := range ins {
		if !slices.Contains(out, in.path) {
			out = append(out, in.path)
		}
	}
	return out
}
