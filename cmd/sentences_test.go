package cmd

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"testing"
)

// sentence is what people read: a word with a space beside it, a single
// capitalised word, or one in bold.
var sentence = regexp.MustCompile(`(^|[^a-zA-Z_/.<-])[a-z]{2,}['’]?[a-z]* |\s[a-z]{2,}|^[A-Z][a-z]+\b|\*[A-Z][a-z]+\*`)

// speaking are the packages that say something in Slack, each in one file,
// and the literals elsewhere in them that nobody reads in Slack.
var speaking = map[string]map[string]string{
	"bot/report": {},
	"bot/chat": {
		"bytes ": "what the agent's evidence begins with", "click ": "a kind in the log", "submission ": "a kind in the log",
		"home opened": "a kind in the log", "end ": "a mark in memory", "reminder ": "a mark in memory",
		" relapse": "a mark in memory", " lease ": "a mark in memory",
	},
}

// TestSentencesStandInOneFile: who wants to change what dropleak says looks
// into words.go of the package that says it.
func TestSentencesStandInOneFile(t *testing.T) {
	s := read(t)
	for pkg, others := range speaking {
		for _, f := range s.packages[pkg] {
			if base := path.Base(f.path); f.test || base == "words.go" || base == "quantity.go" {
				continue
			}
			ast.Inspect(f.syntax, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && unread(call) {
					return false
				}
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				if sentence.MatchString(text) && others[text] == "" {
					t.Errorf("%s: %q belongs into %s/words.go", s.fset.Position(lit.Pos()), text, pkg)
				}
				return true
			})
		}
	}
}

// unread reports whether a call's words are for errors or the log.
func unread(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	switch f.Sel.Name {
	case "Errorf", "New", "Debug", "Info", "Warn", "Error":
		return true
	}
	return false
}
