package cmd

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// below says whether an import path is p or lies below it.
func below(imported, p string) bool {
	return imported == p || strings.HasPrefix(imported, p+"/")
}

// ours returns the part of an import path below the module.
func ours(imported string) (string, bool) {
	return strings.CutPrefix(imported, module+"/")
}

func TestEveryPackageIsARoomOfTheHouse(t *testing.T) {
	s := read(t)
	for pkg := range s.packages {
		if _, known := rooms[pkg]; !known {
			t.Errorf("package %s is not in the table of rooms: say there what it is and what it may import", pkg)
		}
	}
	for pkg := range rooms {
		_, built := s.packages[pkg]
		if !built && !awaited[pkg] {
			t.Errorf("the table names %s, and there is no such package", pkg)
		}
		if built && awaited[pkg] {
			t.Logf("%s stands: take it off the awaited list", pkg)
		}
	}
}

func TestImportsGoDown(t *testing.T) {
	for _, f := range read(t).files {
		if f.test {
			continue
		}
		for _, imported := range f.imports() {
			if name, ok := ours(imported); ok && !mayImport(f, name) {
				t.Errorf("%s imports %s, which package %s may not: its wall lets through only %v", f.path, name, f.pkg, rooms[f.pkg].may)
			}
		}
	}
}

func mayImport(f goFile, name string) bool {
	for _, may := range rooms[f.pkg].may {
		parent, all := strings.CutSuffix(may, "*")
		if name == may || all && strings.HasPrefix(name, parent) {
			return true
		}
	}
	return false
}

func TestNobodyImportsWhatIsBanned(t *testing.T) {
	for _, f := range read(t).files {
		for _, b := range rooms[f.pkg].bans {
			for _, imported := range f.imports() {
				if below(imported, b.path) && (!f.test || b.testsToo) {
					t.Errorf("%s imports %s: %s", f.path, imported, b.why)
				}
			}
		}
	}
}

func TestSimulatorsServeOnlyTestsAndTheDemo(t *testing.T) {
	for _, f := range read(t).files {
		demo := f.pkg == "cmd/dropleak/demo" || strings.HasPrefix(f.path, "cmd/dropleak/demo")
		if f.test || demo || rooms[f.pkg].testOnly {
			continue
		}
		for _, imported := range f.imports() {
			if name, ok := ours(imported); ok && rooms[name].testOnly {
				t.Errorf("%s imports %s, which is for tests and the demo only", f.path, name)
			}
		}
	}
}

func TestTimelessRoomsAskNoClock(t *testing.T) {
	s := read(t)
	for _, f := range s.files {
		if f.test || !slices.Contains(timeless, f.pkg) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && fickle(sel) {
				t.Errorf("%s: %s.%s in a package whose answers depend on its arguments alone", s.fset.Position(sel.Pos()), sel.X, sel.Sel.Name)
			}
			return true
		})
	}
}

// fickle says whether an expression is a function that asks the clock, waits, or throws dice that nobody seeded.
func fickle(sel *ast.SelectorExpr) bool {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
	seeded := []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "NewSource", "Rand", "PCG", "ChaCha8", "Zipf", "Source"}
	pkg, ok := sel.X.(*ast.Ident)
	switch {
	case !ok:
		return false
	case pkg.Name == "time":
		return slices.Contains(clock, sel.Sel.Name)
	case pkg.Name == "rand":
		return !slices.Contains(seeded, sel.Sel.Name)
	}
	return false
}

func TestProgramsCarryNoDeadWeight(t *testing.T) {
	s := read(t)
	for program, bans := range weights {
		if _, built := s.packages[program]; !built {
			continue // TestEveryPackageIsARoomOfTheHouse says so when it is overdue
		}
		deps := strings.Fields(command(t, "go", "list", "-deps", "./"+program))
		for _, b := range bans {
			if i := slices.IndexFunc(deps, func(dep string) bool { return below(dep, b.path) }); i >= 0 {
				t.Errorf("%s carries %s: %s", program, deps[i], b.why)
			}
		}
	}
}

// A ban on a module that is no longer taken in guards nothing, and hides a misspelling.
func TestBansNameWhatExists(t *testing.T) {
	required := command(t, "go", "list", "-m", "-f", "{{.Path}}", "all")
	std := command(t, "go", "list", "std")
	known := strings.Fields(required + std)
	var bans []ban
	for _, r := range rooms {
		bans = append(bans, r.bans...)
	}
	for b := range maps.Values(weights) {
		bans = append(bans, b...)
	}
	for _, b := range bans {
		if b.why == "" {
			t.Errorf("the ban on %s does not say why", b.path)
		}
		if name, ok := ours(b.path); ok {
			if _, planned := rooms[name]; !planned {
				t.Errorf("the ban on %s names no room of the house", name)
			}
		} else if !slices.ContainsFunc(known, func(p string) bool { return below(p, b.path) || below(b.path, p) }) {
			t.Errorf("the ban on %s names a module that is not taken in", b.path)
		}
	}
}

func TestTopOfTheHouse(t *testing.T) {
	rooms := strings.Fields("cmd bot doclient detector configs go.mod go.sum Dockerfile README.md LICENSE Makefile CHANGELOG.md CONTRIBUTING.md docs")
	present := map[string]bool{}
	for name := range strings.SplitSeq(strings.TrimSpace(command(t, "git", "ls-files", "--cached", "--others", "--exclude-standard")), "\n") {
		first, _, _ := strings.Cut(name, "/")
		present[first] = true
	}
	for name := range present {
		if !strings.HasPrefix(name, ".") && !slices.Contains(rooms, name) {
			t.Errorf("%s stands at the top, where only %v belong", name, rooms)
		}
	}
	for _, name := range rooms {
		if !present[name] && !awaitedAtTop[name] {
			t.Errorf("%s is missing at the top", name)
		}
	}
}

// awaitedAtTop belongs to the plan and is not there yet; the list only shrinks.
var awaitedAtTop = map[string]bool{}
