// Package audit is the append-only record of decisions and acts.
//
// Every entry carries the hash of the one before it and its own: SHA-256 over
// the previous hash and the entry in canonical JSON. Whoever knows the head
// (it is printed in each scheduled report, so that Slack anchors it) can tell
// whether anything before it was changed, left out or put in. The database
// refuses to update or delete entries; the chain shows it if somebody made it.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Entry is one thing that was decided or done.
type Entry struct {
	Seq     int64     `json:"seq"`     // from 1, without holes
	At      time.Time `json:"at"`      // UTC, whole milliseconds
	Who     string    `json:"who"`     // a person's Slack id, "dropleak", "cli:NAME"
	What    string    `json:"what"`    // step, act, decision, refusal, mute, token, …
	Run     string    `json:"run"`     // empty outside a run
	Subject string    `json:"subject"` // what it was about
	Why     string    `json:"why"`
	Before  string    `json:"before"`
	After   string    `json:"after"`
	Prev    string    `json:"prev"` // hash of the entry before; 64 zeros for the first
	Hash    string    `json:"hash"` // over Prev and all of the above
}

// Genesis is the hash before the first entry.
const Genesis = "0000000000000000000000000000000000000000000000000000000000000000"

// Head is the end of the chain: all that must be remembered elsewhere to
// notice a change anywhere before it.
type Head struct {
	Seq  int64
	Hash string
}

// String is the head as reports print it.
func (h Head) String() string {
	if h.Seq == 0 {
		return "0 none"
	}
	return fmt.Sprintf("%d %s", h.Seq, h.Hash)
}

// Filter narrows a list of entries. Zero fields do not narrow.
type Filter struct {
	Run   string
	After int64 // Seq above
	Limit int   // oldest first
}

// Log is the record, as a database keeps it.
type Log interface {
	// AppendAudit adds an entry; Seq, Prev and Hash are the log's to fill.
	// It returns the entry as stored.
	AppendAudit(ctx context.Context, e Entry) (Entry, error)
	// AuditHead returns the end of the chain.
	AuditHead(ctx context.Context) (Head, error)
	// AuditEntries lists entries, oldest first.
	AuditEntries(ctx context.Context, f Filter) ([]Entry, error)
}

// Seal returns e as the entry that follows head.
func Seal(head Head, e Entry) Entry {
	e.Seq, e.Prev = head.Seq+1, head.Hash
	if head.Seq == 0 {
		e.Prev = Genesis
	}
	e.At = e.At.UTC().Truncate(time.Millisecond)
	e.Hash = hash(e)
	return e
}

// hash is SHA-256 over the entry in canonical JSON: the fields in the order
// of [Entry], Prev first among equals, Hash left empty, no blanks.
func hash(e Entry) string {
	e.Hash = ""
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings, a number and a time between the years 0 and 9999 always marshal
	}
	sum := sha256.Sum256(append([]byte(e.Prev), body...))
	return hex.EncodeToString(sum[:])
}
