package source

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/doclient"
)

// queried reads a server that answers queries over a span of time, only what
// is newer than what was read.
type queried struct {
	cursor   string
	cursors  Cursors
	backfill time.Duration
	queries  []string
	asked    map[string]bool // queries that are to have an answer: written by the operator, or answered once
	ask      func(ctx context.Context, query string, s doclient.Span) ([]sample.Series, error)
}

// newQueried has the cursor be that of these queries at this place: others
// begin anew.
func newQueried(name, place string, queries, usual []string, backfill time.Duration, c Cursors,
	ask func(context.Context, string, doclient.Span) ([]sample.Series, error)) queried {
	q := queried{cursors: c, backfill: backfill, queries: queries, asked: map[string]bool{}, ask: ask}
	for _, query := range queries {
		q.asked[query] = true
	}
	if len(queries) == 0 {
		q.queries = usual // nobody has all of these
	}
	if q.backfill <= 0 {
		q.backfill = 7 * 24 * time.Hour
	}
	h := fnv.New64a()
	h.Write([]byte(place + "\x00" + strings.Join(q.queries, "\x00")))
	q.cursor = fmt.Sprintf("%s/%x", name, h.Sum64())
	return q
}

// smallest is the window that is not cut any further.
const smallest = time.Minute

// Fetch implements [Fetcher]: oldest first, and what was taken is not asked
// for again.
func (q *queried) Fetch(ctx context.Context, take func([]sample.Series) error) (missing []string, err error) {
	text, err := q.cursors.Cursor(ctx, q.cursor)
	if err != nil {
		return nil, err
	}
	var have time.Time
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		have = time.UnixMilli(ms)
	}
	from, to := doclient.Window(have, time.Now(), overlap, q.backfill)
	for _, span := range slices.Backward(doclient.Spans(from, to, chunk)) {
		if missing, err = q.span(ctx, span, take); err != nil {
			return missing, err
		}
		if err := q.cursors.SetCursor(ctx, q.cursor, strconv.FormatInt(span.To.UnixMilli(), 10)); err != nil {
			return missing, err
		}
	}
	return missing, nil
}

// span reads all queries over one window, in halves where it is too much at
// once.
func (q *queried) span(ctx context.Context, s doclient.Span, take func([]sample.Series) error) (missing []string, err error) {
	var all []sample.Series
	for _, query := range q.queries {
		series, err := q.ask(ctx, query, s)
		if tooMuch(err) && s.To.Sub(s.From) > smallest {
			half := s.From.Add(s.To.Sub(s.From) / 2)
			before, err := q.span(ctx, doclient.Span{From: s.From, To: half}, take)
			if err != nil {
				return before, err
			}
			return q.span(ctx, doclient.Span{From: half, To: s.To}, take)
		}
		if err != nil {
			return nil, fmt.Errorf("query %s: %w", query, err)
		}
		if len(series) == 0 && q.asked[query] {
			missing = append(missing, query)
		}
		q.asked[query] = q.asked[query] || len(series) > 0
		all = append(all, series...)
	}
	return missing, take(all)
}

// tooMuch reports whether a smaller window may be answered.
func tooMuch(err error) bool {
	if errors.Is(err, ErrTooLarge) {
		return true
	}
	return err != nil && slices.ContainsFunc([]string{"too many samples", "-search.max", "max-select-"},
		func(words string) bool { return strings.Contains(err.Error(), words) })
}
