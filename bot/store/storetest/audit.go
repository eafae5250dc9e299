package storetest

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/workflow"
)

func runs(t *testing.T, dsn string) {
	n := 0
	Workflow(t, func(t *testing.T) (a, b workflow.Store) {
		n++
		if n > 1 {
			clearRuns(t, dsn)
		}
		return Open(t, dsn), beside(t, dsn)
	})
}

// clearRuns empties the tables of runs, so that one database serves a suite.
func clearRuns(t *testing.T, dsn string) {
	t.Helper()
	db := rawDB(t, dsn)
	for _, table := range []string{"run_slot", "run_act", "run"} {
		if _, err := db.Exec("delete from " + table); err != nil {
			t.Fatal(err)
		}
	}
}

// rawDB opens the database beneath a store, as somebody with a SQL prompt.
func rawDB(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if dir, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, dsn = "sqlite", "file:"+dir+"/state.db?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func said(what string) audit.Entry {
	return audit.Entry{At: time.Now(), Who: "U1", What: what, Subject: "mail on web-1", Why: "=cmd()", Before: "a", After: "b"}
}

func auditChain(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	empty, err := audit.Verify(ctx, s)
	if err != nil || empty.Seq != 0 {
		t.Fatalf("empty log: %+v, %v", empty, err)
	}
	for range 3 {
		if _, err := s.AppendAudit(ctx, said("mute")); err != nil {
			t.Fatal(err)
		}
	}
	r := flow("r1")
	entry := workflow.Entry{At: time.Now(), Who: "U1", What: "proposal", Run: "r1"}
	if err := s.CreateRun(ctx, r, entry); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateRun(ctx, r, entry); !errors.Is(err, workflow.ErrExists) {
		t.Fatal(err)
	}
	head, err := audit.Verify(ctx, s)
	if err != nil || head.Seq != 4 {
		t.Fatalf("after 4 entries and one that was rolled back: %+v, %v", head, err)
	}
	if of, err := s.AuditEntries(ctx, audit.Filter{Run: "r1"}); err != nil || len(of) != 1 || of[0].What != "proposal" {
		t.Errorf("entries of the run: %+v, %v", of, err)
	}
	var csvOut, jsonOut bytes.Buffer
	if err := errors.Join(audit.Export(ctx, s, &csvOut, audit.CSV), audit.Export(ctx, s, &jsonOut, audit.JSONL)); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&csvOut).ReadAll()
	if err != nil || len(rows) != 5 || rows[1][6] != "'=cmd()" || rows[4][10] != head.Hash {
		t.Errorf("csv %q, %v", rows, err)
	}
	if n := strings.Count(jsonOut.String(), "\n"); n != 4 {
		t.Errorf("%d JSON lines, want 4", n)
	}
}

func auditRace(t *testing.T, dsn string) {
	a, b := Open(t, dsn), beside(t, dsn)
	var wg sync.WaitGroup
	for i := range 4 {
		s := []*store.Store{a, b}[i%2]
		wg.Go(func() {
			for range 10 {
				if _, err := s.AppendAudit(t.Context(), said("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if head, err := audit.Verify(t.Context(), b); err != nil || head.Seq != 40 {
		t.Errorf("after 40 entries by four writers: %+v, %v", head, err)
	}
}

func beside(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, store.Options{Beside: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// auditForged: the database refuses to change what was written, and the
// chain shows what somebody who lifted the refusal changed.
func auditForged(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	for range 5 {
		if _, err := s.AppendAudit(ctx, said("x")); err != nil {
			t.Fatal(err)
		}
	}
	anchor, err := s.AuditHead(ctx)
	if err != nil {
		t.Fatal(err)
	}
	db := rawDB(t, dsn)
	tries := []string{`update audit set why = 'nothing' where seq = 2`, `delete from audit where seq = 5`, `delete from audit`}
	if s.Engine() == store.SQLite {
		tries = append(tries, `insert or replace into audit select * from audit where seq = 2`,
			`insert into audit select 9, at, who, what, run, subject, why, was, became, prev, hash from audit where seq = 2`)
	} else {
		tries = append(tries, `truncate audit`)
	}
	for _, q := range tries {
		if _, err := db.Exec(q); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v, want a refusal", q, err)
		}
	}
	if head, err := audit.Verify(ctx, s, anchor); err != nil || head != anchor {
		t.Fatalf("after refused forgeries: %+v, %v", head, err)
	}
	lift(t, db, s.Engine())
	if _, err := db.Exec(`update audit set why = 'nothing' where seq = 2`); err != nil {
		t.Fatal(err)
	}
	wantBroken(t, s, 2)
	if _, err := db.Exec(`update audit set why = '=cmd()' where seq = 2`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`delete from audit where seq = 3`); err != nil {
		t.Fatal(err)
	}
	wantBroken(t, s, 3)
	if _, err := db.Exec(`delete from audit where seq >= 3`); err != nil {
		t.Fatal(err)
	}
	wantBroken(t, s, 5)
	// The tail cut off, and the head set back to fit: only the anchor tells.
	for _, q := range []string{`delete from audit where seq >= 3`,
		`update audit_head set seq = 2, hash = (select hash from audit where seq = 2)`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	wantBroken(t, s, 5, anchor)
}

// lift takes the refusals away, as somebody with all rights can.
func lift(t *testing.T, db *sql.DB, e store.Engine) {
	t.Helper()
	qs := []string{`drop trigger audit_no_update`, `drop trigger audit_no_delete`}
	if e == store.Postgres {
		qs = []string{`drop trigger audit_no_change on audit`}
	}
	for _, q := range qs {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
}

func wantBroken(t *testing.T, s *store.Store, seq int64, anchors ...audit.Head) {
	t.Helper()
	_, err := audit.Verify(t.Context(), s, anchors...)
	var broken *audit.BrokenError
	if !errors.As(err, &broken) || broken.Seq != seq {
		t.Errorf("verify: %v, want entry %d broken", err, seq)
	}
}
