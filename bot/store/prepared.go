package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// preparing makes connections that keep what they prepared: SQLite's parser
// and planner take longer than most of our statements do. pgx does the same
// for PostgreSQL by itself.
type preparing struct{ driver.Connector }

// Connect implements [driver.Connector].
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	all, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the sqlite driver's %T lacks a method", c), c.Close())
	}
	return &preparedConn{sqliteConn: all, idle: map[string]driver.Stmt{}}, nil
}

// sqliteConn is what the driver's connections can do, and what database/sql
// would miss if it were not passed on.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// preparedConn is a connection and its statements at rest. A statement that
// is being read from is not among them, so that the same text may run again
// meanwhile. database/sql lets one goroutine at a time use it.
type preparedConn struct {
	sqliteConn
	idle map[string]driver.Stmt
}

// mostPrepared bounds the statements of a connection. The store has fewer
// texts than that; lists of placeholders and orders by filter come on top.
const mostPrepared = 256

// repeats reports whether a statement is worth keeping: migrations and
// pragmas run once.
func repeats(query string) bool {
	q := strings.TrimLeft(query, " \t\n")
	for _, verb := range []string{"select ", "insert ", "update ", "delete "} {
		if strings.HasPrefix(q, verb) {
			return true
		}
	}
	return false
}

// ExecContext implements [driver.ExecerContext].
func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if !repeats(query) {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := s.(driver.StmtExecContext).ExecContext(ctx, args)
	if err != nil {
		s.Close() // it repeats the error, if anything
		return nil, err
	}
	return r, c.rest(query, s)
}

// QueryContext implements [driver.QueryerContext].
func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if !repeats(query) {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		s.Close() // it repeats the error, if anything
		return nil, err
	}
	return &preparedRows{Rows: rows, c: c, query: query, s: s}, nil
}

// take hands out the statement of a text, preparing it if none is at rest.
func (c *preparedConn) take(ctx context.Context, query string) (driver.Stmt, error) {
	if s, ok := c.idle[query]; ok {
		delete(c.idle, query)
		return s, nil
	}
	return c.PrepareContext(ctx, query)
}

// rest takes a statement back.
func (c *preparedConn) rest(query string, s driver.Stmt) error {
	if c.idle[query] != nil {
		return s.Close()
	}
	if len(c.idle) >= mostPrepared {
		for q, old := range c.idle { // any
			delete(c.idle, q)
			if err := old.Close(); err != nil {
				return errors.Join(err, s.Close())
			}
			break
		}
	}
	c.idle[query] = s
	return nil
}

// Close implements [driver.Conn].
func (c *preparedConn) Close() error {
	var errs []error
	for _, s := range c.idle {
		errs = append(errs, s.Close())
	}
	clear(c.idle)
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// preparedRows gives its statement back when it is closed, which database/sql
// does once.
type preparedRows struct {
	driver.Rows
	c     *preparedConn
	query string
	s     driver.Stmt
}

// Close implements [driver.Rows].
func (r *preparedRows) Close() error {
	if err := r.Rows.Close(); err != nil {
		r.s.Close() // it repeats the error, if anything
		return err
	}
	return r.c.rest(r.query, r.s)
}
