package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
)

// page is how many entries are read at a time.
const page = 500

// BrokenError says where a chain does not hold.
type BrokenError struct {
	Seq int64 // the first entry that is wrong
	Why string
}

// Error implements error.
func (b *BrokenError) Error() string { return fmt.Sprintf("audit entry %d: %s", b.Seq, b.Why) }

// Verify walks the whole chain and returns its head, or a [*BrokenError]
// naming the first entry that does not hold. anchors are heads remembered
// elsewhere, which the chain must still contain.
func Verify(ctx context.Context, log Log, anchors ...Head) (Head, error) {
	// The head is read first: what is appended meanwhile comes after it.
	stored, err := log.AuditHead(ctx)
	if err != nil {
		return stored, fmt.Errorf("reading the head of the audit log: %w", err)
	}
	var head Head
	due := map[int64]string{}
	for _, a := range append(anchors, stored) {
		if want, ok := due[a.Seq]; ok && want != a.Hash {
			return head, &BrokenError{a.Seq, "it is remembered with two hashes"}
		}
		if a.Seq > 0 {
			due[a.Seq] = a.Hash
		}
	}
	err = each(ctx, log, func(e Entry) error {
		if err := follows(head, e); err != nil {
			return err
		}
		if want, ok := due[e.Seq]; ok && want != e.Hash {
			return &BrokenError{e.Seq, "its hash is not the one remembered"}
		}
		delete(due, e.Seq)
		head = Head{e.Seq, e.Hash}
		return nil
	})
	if err != nil {
		return head, err
	}
	if len(due) > 0 {
		return head, &BrokenError{slices.Min(slices.Collect(maps.Keys(due))), "it was remembered and is gone"}
	}
	return head, nil
}

// follows checks one link.
func follows(head Head, e Entry) error {
	want := Seal(head, e)
	switch {
	case e.Seq != want.Seq:
		return &BrokenError{want.Seq, fmt.Sprintf("it is missing; the next is %d", e.Seq)}
	case e.Prev != want.Prev:
		return &BrokenError{e.Seq, "it does not follow the one before"}
	case e.Hash != want.Hash:
		return &BrokenError{e.Seq, "its content was changed"}
	}
	return nil
}

// each visits all entries, oldest first, a page at a time.
func each(ctx context.Context, log Log, visit func(Entry) error) error {
	var after int64
	for {
		entries, err := log.AuditEntries(ctx, Filter{After: after, Limit: page})
		if err != nil {
			return fmt.Errorf("reading the audit log after entry %d: %w", after, err)
		}
		for _, e := range entries {
			if err := visit(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(entries) < page {
			return nil
		}
	}
}

// Format is a form in which the log is exported.
type Format string

// The formats.
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl"
)

// columns are those of the CSV form, the names of the JSON form.
var columns = []string{"seq", "at", "who", "what", "run", "subject", "why", "before", "after", "prev", "hash"}

// Export writes the whole log.
func Export(ctx context.Context, log Log, w io.Writer, f Format) error {
	switch f {
	case CSV:
		return exportCSV(ctx, log, w)
	case JSONL:
		enc := json.NewEncoder(w)
		return each(ctx, log, func(e Entry) error { return enc.Encode(e) })
	}
	return fmt.Errorf("exporting the audit log: format %q is neither csv nor jsonl", f)
}

func exportCSV(ctx context.Context, log Log, w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(columns); err != nil {
		return fmt.Errorf("exporting the audit log: %w", err)
	}
	err := each(ctx, log, func(e Entry) error {
		return c.Write([]string{strconv.FormatInt(e.Seq, 10), e.At.Format(time.RFC3339Nano), cell(e.Who), cell(e.What),
			cell(e.Run), cell(e.Subject), cell(e.Why), cell(e.Before), cell(e.After), e.Prev, e.Hash})
	})
	if err != nil {
		return err
	}
	c.Flush()
	return c.Error()
}

// cell keeps a spreadsheet from taking somebody's words for a formula.
func cell(s string) string {
	if s != "" && (s[0] == '=' || s[0] == '+' || s[0] == '-' || s[0] == '@' || s[0] == '\t' || s[0] == '\r') {
		return "'" + s
	}
	return s
}
