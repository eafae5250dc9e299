package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/google/go-cmp/cmp"
)

// backup fills a store, carries it to another one and looks at what
// arrived. to names an empty store of either engine.
func backup(t *testing.T, from, to string) {
	s, ctx := Open(t, from), t.Context()
	secret, series := filled(t, s)
	head := must(s.AuditHead(ctx))
	file := filepath.Join(t.TempDir(), "backup")
	if err := s.Backup(ctx, file); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(ctx, file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an earlier backup: %v, want %v", err, fs.ErrExist)
	}
	body := must(os.ReadFile(file))
	if left := must(filepath.Glob(filepath.Join(filepath.Dir(file), ".*"))); len(left) > 0 || bytes.Contains(body, []byte(secret)) {
		t.Errorf("the folder keeps %v, or the file the secret", left)
	}
	cut := file + "cut"
	if err := os.WriteFile(cut, body[:len(body)-30], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Restore(ctx, cut, to, "cli:dana"); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("a file that is cut off: %v", err)
	}
	got, err := store.Restore(ctx, file, to, "cli:dana")
	if err != nil || got.Runs != 1 || got.Orders != 1 || time.Since(got.Made) > time.Hour {
		t.Fatalf("restored %+v, %v", got, err)
	}
	if _, err := store.Restore(ctx, file, to, "cli:dana"); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("into a store in use: %v", err)
	}

	r := Open(t, to)
	wantSeries(t, "samples", selectAll(t, soon(r)), series...)
	recorded(t, r, head)
	settled(t, r)
	goesOn(t, r, secret)
}

// filled puts something of everything into a store.
func filled(t *testing.T, s *store.Store) (secret string, series []sample.Series) {
	ctx := t.Context()
	w := newWorld(t, s, hub.Options{})
	w.history = soon(s)
	w.hub = hub.New(s, w.history, hub.Options{})
	secret = w.agent("42")
	for _, err := range []error{
		s.OpenFinding(ctx, leak("f1", "42", "mailer")),
		s.SetCursor(ctx, "do", "7"),
		w.hub.Place(ctx, restart("open")),
		w.hub.Place(ctx, restart("closed")),
		s.CreateRun(ctx, workflow.Run{ID: "live", Recipe: "remedy", Key: "k", Step: "snapshot", Data: json.RawMessage(`{}`),
			Gate: json.RawMessage(`{}`), Due: noon, Created: noon, Updated: noon}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if _, err := s.AppendAudit(ctx, audit.Entry{At: noon, Who: "U1", What: "decision", Run: "live"}); err != nil {
			t.Fatal(err)
		}
	}
	w.post(http.StatusNoContent, order.ClaimPath("closed"), secret, nil)
	w.post(http.StatusNoContent, order.ResultPath("closed"), secret, resultOf(restart("closed")))
	w.push(http.StatusNoContent, secret, []sample.Series{rss("42", "mailer", "0", lately(2*time.Hour, 4096), lately(time.Hour, 8192))})
	fold(t, w.history)
	w.push(http.StatusNoContent, secret, []sample.Series{rss("42", "mailer", "1", lately(time.Hour, 4096))})
	return secret, selectAll(t, w.history)
}

// recorded looks at the audit log of a restored store: it holds what it held
// up to head, and tells of the restore.
func recorded(t *testing.T, r *store.Store, head audit.Head) {
	if _, err := audit.Verify(t.Context(), r, head); err != nil {
		t.Errorf("the restored chain: %v", err)
	}
	var got []string
	for _, e := range must(r.AuditEntries(t.Context(), audit.Filter{After: head.Seq})) {
		got = append(got, strings.Join([]string{e.Who, e.What, e.Run, e.Subject, e.After}, "|"))
		if time.Since(e.At) > time.Hour || e.Why == "" {
			t.Errorf("entry %+v", e)
		}
	}
	want := []string{"cli:dana|restore||backup|open runs ended as unknown: 1; open orders void: 1", "cli:dana|outcome|live|backup|unknown"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what the record says of the restore (-want +got):\n%s", d)
	}
}

// settled looks at what was under way in a restored store.
func settled(t *testing.T, r *store.Store) {
	ctx := t.Context()
	v := newWorld(t, r, hub.Options{})
	want := leak("f1", "42", "mailer")
	if got, err := r.Finding(ctx, "f1"); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("finding: %v\n%s", err, cmp.Diff(want, got))
	}
	if got := must(v.hub.Order(ctx, "open", order.Restart)); got.State != hub.Void {
		t.Errorf("the open order is %s", got.State)
	}
	if got := must(v.hub.Order(ctx, "closed", order.Restart)); got.State != hub.Ended || got.Result == nil {
		t.Errorf("the closed order is %+v", got)
	}
	if got := must(r.Run(ctx, "live")); got.Outcome != "unknown" || got.Trouble == "" || !got.Due.IsZero() || !got.Unannounced() {
		t.Errorf("the open run is %+v", got)
	}
}

// goesOn uses a restored store: its token opens, its record continues, and
// series go on under their ids.
func goesOn(t *testing.T, r *store.Store, secret string) {
	v := newWorld(t, r, hub.Options{})
	if _, err := r.AppendAudit(t.Context(), audit.Entry{At: noon, Who: "U1", What: "decision"}); err != nil {
		t.Errorf("the record does not go on: %v", err)
	}
	if got := must(r.Cursor(t.Context(), "do")); got != "7" {
		t.Errorf("cursor %q", got)
	}
	v.push(http.StatusNoContent, secret, []sample.Series{rss("42", "mailer", "0", lately(0, 1)), rss("42", "mailer", "2", lately(0, 1))})
	if got := selectAll(t, v.history, history.Is("slot", "0")); len(got) != 1 || len(got[0].Points) != 3 {
		t.Errorf("the series goes on as %v", got)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Backups carries a store of each engine to each.
func Backups(t *testing.T, engines map[string]Fresh) {
	for a, from := range engines {
		for b, to := range engines {
			t.Run(a+" to "+b, func(t *testing.T) { backup(t, from(t), to(t)) })
		}
	}
}
