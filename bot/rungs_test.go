package bot

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/slackapp"
)

// notes are cursors in memory.
type notes struct {
	at   map[string]string
	fail error
}

func (n *notes) Cursor(_ context.Context, name string) (string, error) { return n.at[name], n.fail }

func (n *notes) SetCursor(_ context.Context, name, at string) error {
	n.at[name] = at
	return n.fail
}

// TestRefusalsAreRemembered for a day, channel by channel and type by type,
// also by the process that comes after; a store that fails costs one more try.
func TestRefusalsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{at: map[string]string{}}
		fresh := func() refusals { return refusals{n, 0, slog.New(slog.NewTextHandler(io.Discard, nil))} }
		if !fresh().accepts(t.Context(), "C1", "data_table") {
			t.Error("refused before anybody refused it")
		}
		fresh().degraded(slackapp.Degraded{Channel: "C1", Rung: 1, Types: []string{"data_table"}})
		for _, c := range []struct {
			after          time.Duration
			channel, block string
			want           bool
		}{
			{0, "C1", "data_table", false}, {0, "C2", "data_table", true}, {0, "C1", "layout", true},
			{23 * time.Hour, "C1", "data_table", false}, {2 * time.Hour, "C1", "data_table", true},
		} {
			time.Sleep(c.after)
			if got := fresh().accepts(t.Context(), c.channel, c.block); got != c.want {
				t.Errorf("%s later: %s takes %s: %v", c.after, c.channel, c.block, got)
			}
		}
		fresh().degraded(slackapp.Degraded{Channel: "C1", Types: []string{"data_table"}})
		n.fail = errors.New("database is away")
		if !fresh().accepts(t.Context(), "C1", "data_table") {
			t.Error("a store that fails takes a layout away")
		}
	})
}
