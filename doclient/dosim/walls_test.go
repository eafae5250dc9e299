package dosim

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// This simulator shares no type with the client it faces, nor with the library
// that client uses: a field name that is wrong in one of them must not find
// itself right in the other. That holds for its tests too.
func TestSharesNoTypes(t *testing.T) {
	banned := []string{"digitalocean/godo", "dropleak/doclient"}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") {
			continue
		}
		src, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		seen++
		for _, imp := range src.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(path, "dropleak/") {
				t.Errorf("%s imports %s; dosim imports nothing of ours", f.Name(), path)
			}
			for _, ban := range banned {
				if strings.Contains(path, ban) {
					t.Errorf("%s imports %s", f.Name(), path)
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d files looked at", seen)
	}
}
