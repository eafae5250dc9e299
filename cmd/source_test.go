package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// module is the import path of the house.
const module = "github.com/dropleak/dropleak"

// top is the top of the checkout, seen from this package.
const top = ".."

// goFile is one parsed file of the house.
type goFile struct {
	path   string // from the top, with slashes
	pkg    string // its folder, from the top
	test   bool
	syntax *ast.File
	lines  int
}

// imports returns the import paths of the file.
func (f goFile) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser accepted it
		}
		paths = append(paths, p)
	}
	return paths
}

// house parses every Go file under the top, whatever its build tags, once for all tests.
var house = sync.OnceValues(func() (*source, error) {
	s := &source{fset: token.NewFileSet(), packages: map[string][]goFile{}}
	err := filepath.WalkDir(top, s.visit)
	return s, err
})

type source struct {
	fset     *token.FileSet
	files    []goFile
	packages map[string][]goFile
}

func (s *source) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	base := d.Name()
	if d.IsDir() {
		if name != top && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
			return filepath.SkipDir
		}
		return nil
	}
	if !strings.HasSuffix(base, ".go") {
		return nil
	}
	return s.add(name)
}

func (s *source) add(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(s.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(top, name)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	f := goFile{
		path:   rel,
		pkg:    path.Dir(rel),
		test:   strings.HasSuffix(rel, "_test.go"),
		syntax: syntax,
		lines:  strings.Count(string(text), "\n"),
	}
	s.files = append(s.files, f)
	s.packages[f.pkg] = append(s.packages[f.pkg], f)
	return nil
}

// read returns the parsed house or ends the test.
func read(t *testing.T) *source {
	t.Helper()
	s, err := house()
	if err != nil {
		t.Fatalf("read the source: %v", err)
	}
	return s
}

// command runs a program in the top folder and returns what it printed, or ends the test.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = top
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return string(out)
}
