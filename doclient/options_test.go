package doclient_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

func TestBaseURL(t *testing.T) {
	tests := []struct{ url, want, err string }{
		{"", "https://api.digitalocean.com/v2/droplets/42", ""},
		{"http://127.0.0.1:80", "http://127.0.0.1:80/v2/droplets/42", ""},
		{"http://127.0.0.1:80/", "http://127.0.0.1:80/v2/droplets/42", ""},
		{"https://proxy.example/do", "https://proxy.example/do/v2/droplets/42", ""},
		{"https://api.digitalocean.com/v2", "", "without /v2"},
		{"https://api.digitalocean.com/v2/", "", "without /v2"},
		{"api.digitalocean.com", "", "not http:// or https://"},
		{"ftp://x", "", "not http:// or https://"},
		{"https://", "", "not http:// or https://"},
		{"https://x/?a=b", "", "more than a host and a path"},
		{"https://u:secret@x", "", "more than a host and a path"},
		{"http://[", "", "missing ']'"},
	}
	for _, tt := range tests {
		var got string
		r, err := doclient.NewReader(doclient.Options{
			BaseURL: tt.url, Token: doclient.StaticToken(readToken),
			Transport: canned(func(req *http.Request) (*http.Response, error) {
				got = req.URL.String()
				return says(200, "application/json", `{"droplet":{"id":42}}`)(req)
			}),
		})
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: error %v, want %q", tt.url, err, tt.err)
			}
			continue
		}
		check(t, err)
		if _, err = r.Droplet(t.Context(), 42); err != nil || got != tt.want {
			t.Errorf("%s: asked %s, want %s: %v", tt.url, got, tt.want, err)
		}
	}
	if _, err := doclient.NewExecutor(doclient.Options{}); err == nil {
		t.Error("no token, no complaint")
	}
}

func TestPlainHTTPIsWarnedOf(t *testing.T) {
	for url, want := range map[string]bool{
		"http://api.example": true, "http://127.0.0.1:1": false, "http://localhost": false, "http://[::1]:1": false, "https://api.example": false,
	} {
		var log bytes.Buffer
		_, err := doclient.NewReader(doclient.Options{
			BaseURL: url, Token: doclient.StaticToken("x"), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		check(t, err)
		if strings.Contains(log.String(), "unencrypted") != want {
			t.Errorf("%s: log %q", url, log.String())
		}
	}
}

// A token is what its file says now, and is sent without the newline.
func TestTokenFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) { check(t, os.WriteFile(path, []byte(text), 0o600)) }
	sim := dosim.New(dosim.Options{}).Kind()
	sim.AddDroplet(dosim.Droplet{ID: web1})
	sim.AddToken("dop_v1_first", dosim.ReaderScopes...)
	r, err := doclient.NewReader(doclient.Options{Token: doclient.TokenFile(path), Transport: sim.Transport()})
	check(t, err)
	write("dop_v1_first\n")
	_, err = r.Droplet(t.Context(), web1)
	check(t, err)
	sim.RevokeToken("dop_v1_first")
	sim.AddToken("dop_v1_second", dosim.ReaderScopes...)
	write("  'dop_v1_second'\r\n")
	_, err = r.Droplet(t.Context(), web1)
	check(t, err)
	write("dop_v1_third")
	if _, err = r.Droplet(t.Context(), web1); err == nil || strings.Contains(err.Error(), "third") {
		t.Errorf("with a wrong token: %v", err)
	}
}

func TestUserAgent(t *testing.T) {
	var got string
	r, err := doclient.NewReader(doclient.Options{
		Token: doclient.StaticToken("x"), UserAgent: "dropleak/1.2", Timeout: time.Second, Tries: 1,
		Transport: canned(func(req *http.Request) (*http.Response, error) {
			got = req.Header.Get("User-Agent")
			return says(500, "", "")(req)
		}),
	})
	check(t, err)
	if _, err = r.Droplet(t.Context(), 1); err == nil || !strings.HasPrefix(got, "dropleak/1.2 ") {
		t.Errorf("user agent %q, %v", got, err)
	}
}

// No type of the library can be seen from outside: what leaks out would be what
// the rest of the house is built on.
func TestNoLibraryTypesLeakOut(t *testing.T) {
	files, err := filepath.Glob("*.go")
	check(t, err)
	fset, seen := token.NewFileSet(), 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, 0)
		check(t, err)
		for _, d := range file.Decls {
			for _, visible := range exported(d) {
				seen++
				ast.Inspect(visible, func(n ast.Node) bool {
					if sel, ok := n.(*ast.SelectorExpr); ok {
						if pkg, ok := sel.X.(*ast.Ident); ok && (pkg.Name == "godo" || pkg.Name == "oauth2" || pkg.Name == "backoff" || pkg.Name == "rate") {
							t.Errorf("%s shows %s.%s", fset.Position(n.Pos()), pkg.Name, sel.Sel.Name)
						}
					}
					return true
				})
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d exported things looked at", seen)
	}
}

// exported returns the parts of a declaration that callers see.
func exported(d ast.Decl) []ast.Node {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
			return []ast.Node{d.Type}
		}
	case *ast.GenDecl:
		var out []ast.Node
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if st, ok := s.Type.(*ast.StructType); ok && s.Name.IsExported() {
					for _, f := range st.Fields.List {
						if len(f.Names) == 0 || f.Names[0].IsExported() {
							out = append(out, f.Type)
						}
					}
				} else if s.Name.IsExported() {
					out = append(out, s.Type)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && s.Type != nil {
					out = append(out, s.Type)
				}
			}
		}
		return out
	}
	return nil
}

func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	name, _ := t.(*ast.Ident)
	return name.Name
}
