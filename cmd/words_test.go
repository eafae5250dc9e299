package cmd

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

// plain is a text on one line, its white space single.
func plain(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for pkg, files := range read(t).packages {
		var docs []string
		name := ""
		for _, f := range files {
			if f.test {
				continue
			}
			name = f.syntax.Name.Name
			if f.syntax.Doc != nil {
				docs = append(docs, f.syntax.Doc.Text())
			}
		}
		if name == "" {
			continue // tests only
		}
		if len(docs) != 1 {
			t.Errorf("package %s has %d package comments, want one", pkg, len(docs))
			continue
		}
		checkSentence(t, pkg, name, docs[0])
	}
}

func checkSentence(t *testing.T, pkg, name, doc string) {
	opening, _, _ := strings.Cut(doc, "\n\n")
	opening = plain(opening)
	start := "Package " + name + " "
	if name == "main" {
		start = "Command " + path.Base(pkg) + " "
	}
	if !strings.HasPrefix(opening, start) || !strings.HasSuffix(opening, ".") {
		t.Errorf("package %s opens with %q, want a sentence that starts with %q", pkg, opening, start)
	}
	if says := rooms[pkg].says; !strings.Contains(strings.ToLower(opening), strings.ToLower(says)) {
		t.Errorf("package %s says of itself %q, want the words %q", pkg, opening, says)
	}
}

func TestPackageNamesMeanSomething(t *testing.T) {
	empty := []string{"util", "utils", "common", "helper", "helpers", "types", "models", "model", "pkg", "misc", "base", "shared", "lib", "internal", "core"}
	for pkg := range read(t).packages {
		for word := range strings.SplitSeq(pkg, "/") {
			if slices.Contains(empty, word) || strings.HasSuffix(word, "util") || strings.HasSuffix(word, "utils") {
				t.Errorf("package %s: %q says nothing about what is inside", pkg, word)
			}
		}
	}
}

func TestFilesAndFunctionsStayShort(t *testing.T) {
	const longestFile, longestFunction = 500, 80
	s := read(t)
	for _, f := range s.files {
		if f.test || ast.IsGenerated(f.syntax) {
			continue
		}
		if f.lines > longestFile {
			t.Errorf("%s has %d lines, more than %d: is there a second noun inside?", f.path, f.lines, longestFile)
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			first, last := s.fset.Position(fn.Pos()).Line, s.fset.Position(fn.End()).Line
			if length := last - first + 1; length > longestFunction {
				t.Errorf("%s:%d: %s has %d lines, more than %d", f.path, first, fn.Name.Name, length, longestFunction)
			}
		}
	}
}
