package detector_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestThresholdsStandInOneLiteral: no fraction that something is compared with
// stands anywhere but in options.go, where each has its reason. What words say
// of numbers decides nothing.
func TestThresholdsStandInOneLiteral(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files, compared := token.NewFileSet(), 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "options.go" || name == "evidence.go" {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			b, ok := n.(*ast.BinaryExpr)
			if !ok || b.Op != token.LSS && b.Op != token.GTR && b.Op != token.LEQ && b.Op != token.GEQ {
				return true
			}
			compared++
			ast.Inspect(b, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.FLOAT && !strings.Contains(l.Value, "e") { // 1e18 was not measured
					t.Errorf("%s: compares with %s", files.Position(l.Pos()), l.Value)
				}
				return true
			})
			return true
		})
	}
	if compared < 100 {
		t.Errorf("found only %d comparisons", compared)
	}
}
