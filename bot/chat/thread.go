package chat

import "context"

// What was told last in the thread of a run or a rolling restart is remembered
// in the store, so that neither a new process nor another replica tells it
// again, and here, so that the store is asked only at news.

const maxSteps = 1000 // runs whose last line is remembered here

// told returns the mark of what was told last about a run, "" for nothing.
// known is what this process told.
func (c *Chat) told(ctx context.Context, run, mark string) (string, error) {
	c.mu.Lock()
	known := c.steps[run]
	c.mu.Unlock()
	if known == mark || c.o.Cursors == nil {
		return known, nil
	}
	kept, err := c.o.Cursors.Cursor(ctx, threadOf(run))
	if err != nil || kept == "" {
		return known, err
	}
	return kept, nil
}

// setTold remembers that a mark is told; aloud: that a line of it stands in the
// thread. Where it cannot be kept it is told twice rather than never.
func (c *Chat) setTold(ctx context.Context, run, mark string, aloud bool) {
	c.mu.Lock()
	if len(c.steps) >= maxSteps {
		clear(c.steps)
	}
	c.steps[run] = mark
	c.mu.Unlock()
	if !aloud || c.o.Cursors == nil {
		return
	}
	if err := c.o.Cursors.SetCursor(context.WithoutCancel(ctx), threadOf(run), mark); err != nil {
		c.o.Log.Warn("remember what a thread was told", "run", run, "err", err)
	}
}

// threadOf names the cursor of a run's thread.
func threadOf(run string) string { return "thread/" + run }
