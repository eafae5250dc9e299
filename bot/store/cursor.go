package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Cursor returns where the named reader of the outside stands, or "" before
// its first [Store.SetCursor].
func (s *Store) Cursor(ctx context.Context, name string) (string, error) {
	var at string
	err := s.state.read.QueryRowContext(ctx, `select position from cursor_at where name = $1`, name).Scan(&at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read cursor %s: %w", name, err)
	}
	return at, nil
}

// SetCursor remembers where the named reader stands.
func (s *Store) SetCursor(ctx context.Context, name, at string) error {
	_, err := s.state.exec(ctx, `
		insert into cursor_at (name, position, updated) values ($1, $2, $3)
		on conflict (name) do update set position = excluded.position, updated = excluded.updated`,
		name, at, ms(time.Now()))
	if err != nil {
		return fmt.Errorf("set cursor %s: %w", name, err)
	}
	return nil
}
