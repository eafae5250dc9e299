package audit

import (
	"context"
	"testing"
	"time"
)

// TestHashIsFixed pins the canonical form: a chain written by one version
// must verify under every later one.
func TestHashIsFixed(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.FixedZone("x", 3600))
	e := Seal(Head{}, Entry{At: at, Who: "U1", What: "decision", Run: "r1", Subject: "approve", Why: "<leak> & \"growth\"", Before: "a", After: "ü"})
	const want = "7401d47ea69fd327a8ed313f6991bd40c1d3489b3caa9da4ebadf482f5121d5b"
	if e.Seq != 1 || e.Prev != Genesis || e.At != at.UTC().Truncate(time.Millisecond) {
		t.Errorf("sealed %+v", e)
	}
	if e.Hash != want {
		t.Errorf("hash %s, want %s", e.Hash, want)
	}
}

// TestEveryFieldCounts changes each field in turn: the hash must notice.
func TestEveryFieldCounts(t *testing.T) {
	base := Seal(Head{}, Entry{At: time.Unix(1, 0)})
	for name, change := range map[string]func(*Entry){
		"seq": func(e *Entry) { e.Seq++ }, "at": func(e *Entry) { e.At = e.At.Add(time.Millisecond) },
		"who": func(e *Entry) { e.Who = "x" }, "what": func(e *Entry) { e.What = "x" }, "run": func(e *Entry) { e.Run = "x" },
		"subject": func(e *Entry) { e.Subject = "x" }, "why": func(e *Entry) { e.Why = "x" },
		"before": func(e *Entry) { e.Before = "x" }, "after": func(e *Entry) { e.After = "x" }, "prev": func(e *Entry) { e.Prev = base.Hash },
	} {
		e := base
		change(&e)
		if hash(e) == base.Hash {
			t.Errorf("%s is not in the hash", name)
		}
	}
}

// slice is a log that somebody may have tampered with.
type slice struct {
	entries []Entry
	head    Head
}

func (s *slice) AppendAudit(_ context.Context, e Entry) (Entry, error) {
	e = Seal(s.head, e)
	s.entries, s.head = append(s.entries, e), Head{e.Seq, e.Hash}
	return e, nil
}
func (s *slice) AuditHead(context.Context) (Head, error) { return s.head, nil }
func (s *slice) AuditEntries(_ context.Context, f Filter) ([]Entry, error) {
	var out []Entry
	for _, e := range s.entries {
		if e.Seq > f.After && (f.Limit == 0 || len(out) < f.Limit) {
			out = append(out, e)
		}
	}
	return out, nil
}

// TestVerifyPages walks a log longer than a page.
func TestVerifyPages(t *testing.T) {
	var s slice
	for range page + 3 {
		if _, err := s.AppendAudit(t.Context(), Entry{At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if head, err := Verify(t.Context(), &s); err != nil || head != s.head {
		t.Errorf("verify: %v, %v; want %v", head, err, s.head)
	}
	s.entries[page].Why = "other"
	if _, err := Verify(t.Context(), &s); err == nil {
		t.Error("a change on the second page was not noticed")
	}
}

func TestHeadString(t *testing.T) {
	if got := (Head{}).String(); got != "0 none" {
		t.Errorf("empty head %q", got)
	}
	if got := (Head{7, "ab"}).String(); got != "7 ab" {
		t.Errorf("head %q", got)
	}
}
