package slackapp_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
)

// called lists every method that the package's code names in a call.
func called(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			kv, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			key, isName := kv.Key.(*ast.Ident)
			value, isText := kv.Value.(*ast.BasicLit)
			if isName && isText && key.Name == "method" {
				method, err := strconv.Unquote(value.Value)
				if err != nil {
					t.Error(err)
				}
				out = append(out, method)
			}
			return true
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Every method that is called is in the table, and the table has no others:
// the manifest asks for its scopes and for no more. The socket's opening is
// slack-go's own call.
func TestTableHoldsWhatIsCalled(t *testing.T) {
	calls := called(t)
	if len(calls) < 12 {
		t.Fatalf("only %d calls were found: %v", len(calls), calls)
	}
	for _, m := range calls {
		if !slices.Contains(slackapp.MethodNames(), m) {
			t.Errorf("%s is called and not in the table", m)
		}
	}
	for _, m := range slackapp.MethodNames() {
		if !slices.Contains(calls, m) {
			t.Errorf("%s is in the table and never called", m)
		}
	}
}

// Each scope alone taken away is named as missing, and so are the calls it is
// for.
func TestMissingScopes(t *testing.T) {
	var all []string
	for _, s := range slackapp.Scopes() {
		all = append(all, s.Name)
	}
	if got := (slackapp.Identity{Scopes: all}).Missing(); len(got) != 0 {
		t.Errorf("with all of them %v are missing", got)
	}
	for i, s := range all {
		got := slackapp.Identity{Scopes: slices.Delete(slices.Clone(all), i, i+1)}.Missing()
		if len(got) != 1 || got[0].Name != s || len(got[0].For) == 0 {
			t.Errorf("without %s: %v", s, got)
		}
	}
	if got := (slackapp.Identity{}).Missing(); got != nil {
		t.Errorf("where Slack said nothing, %v are missing", got)
	}
}

// What the self-test puts up it takes away again, and its refusals keep
// Slack's word.
func TestProofsLeaveNothing(t *testing.T) {
	sim := slacksim.New(slacksim.Options{Channels: []slacksim.Channel{{ID: "C0OPS"}, {ID: "C0OUT", Absent: []string{"U0BOT"}}, {ID: "C0OLD", Archived: true}}}).Kind()
	if err := sim.Start(""); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	app, err := slackapp.New(slackapp.Options{BotToken: "xoxb-sim", AppToken: "xapp-sim", APIURL: sim.APIURL(), Handler: &recorder{}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	for channel, want := range map[string]string{"C0OPS": "", "C0OUT": "not_in_channel", "C0OLD": "is_archived", "C0NONE": "channel_not_found"} {
		err := app.ProvePost(ctx, channel)
		var refused *slackapp.Error
		if want == "" && err != nil || want != "" && !errors.As(err, &refused) || refused != nil && refused.Code != want {
			t.Errorf("%s: %v, want %q", channel, err, want)
		}
	}
	if err := app.ProveUpload(ctx, []byte("\x89PNG\r\n\x1a\n123")); err != nil {
		t.Error(err)
	}
	if n, err := app.ProveSocket(ctx); err != nil || n != 1 {
		t.Errorf("%d sockets, %v", n, err)
	}
	if n := sim.Scheduled(); n != 0 || len(sim.Messages("C0OPS")) != 0 || len(sim.Calls("files.delete")) != 1 {
		t.Errorf("%d messages are left to come, %d stand, %d files deleted", n, len(sim.Messages("C0OPS")), len(sim.Calls("files.delete")))
	}
}
