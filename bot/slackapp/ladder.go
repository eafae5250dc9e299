package slackapp

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

// Degraded tells that a message stands lower on its ladder than wished. Rung is 1
// for the first of Rungs, len(Rungs)+1 for text alone.
type Degraded struct {
	Method, Channel, TS string
	Rung                int
	Reason              string // Slack's words; or that it was known before
	// Types are the newer block types that Slack refused just now. What it
	// refused is guessed from its answer, or from what it took at last.
	Types []string
}

// responses is the channel of answers through a response address, to a memory.
const responses = "response_url"

// settled are the block types that every workspace takes: when Slack refuses
// one of them, it refuses what is in it.
var settled = []slack.MessageBlockType{slack.MBTSection, slack.MBTDivider, slack.MBTImage, slack.MBTAction, slack.MBTContext, slack.MBTInput, slack.MBTHeader}

// ladder is every layout of m from the wished one down to text alone (nil).
func (m Message) ladder() [][]slack.Block {
	var l [][]slack.Block
	if len(m.Blocks) > 0 {
		l = append(l, m.Blocks)
	}
	for _, r := range m.Rungs {
		if len(r) > 0 {
			l = append(l, r)
		}
	}
	return append(l, nil)
}

// climbDown writes m, stepping down its ladder for as long as Slack refuses the
// blocks. A layout with a type that the channel refused lately is not tried.
func (a *App) climbDown(ctx context.Context, t target, m Message, write func([]slack.Block) (ts string, err error)) error {
	if err := m.check(); err != nil {
		return err
	}
	var reason error
	var types []string
	ladder := m.ladder()
	for rung, blocks := range ladder {
		last := rung == len(ladder)-1
		if known := a.unwelcome(ctx, t, blocks); known != nil && !last {
			reason = errors.Join(reason, known)
			continue
		}
		ts, err := write(blocks)
		if err == nil {
			if rung > 0 {
				a.degraded(t, ts, rung, reason, newer(types, blocks))
			}
			return nil
		}
		if !errors.Is(err, ErrRefusedBlocks) || last {
			return err
		}
		reason, types = err, append(types, refusedTypes(err, blocks)...)
	}
	return reason
}

// unwelcome says which type of these blocks is known to be refused; nil for
// none.
func (a *App) unwelcome(ctx context.Context, t target, blocks []slack.Block) error {
	if a.opts.Accepts == nil {
		return nil
	}
	for _, b := range blocks {
		if kind := b.BlockType(); !slices.Contains(settled, kind) && !a.opts.Accepts(ctx, first(t.channel, responses), string(kind)) {
			return errors.New(string(kind) + " was refused lately")
		}
	}
	return nil
}

var pointer = regexp.MustCompile(`json-pointer:/blocks/(\d+)`)

// refusedTypes are the types of the blocks that Slack's answer points at; of
// all blocks, where it points at none.
func refusedTypes(err error, blocks []slack.Block) (types []string) {
	said, ok := errors.AsType[*Error](err)
	if ok {
		for _, found := range pointer.FindAllStringSubmatch(strings.Join(said.Details, "\n"), -1) {
			if i, err := strconv.Atoi(found[1]); err == nil && i < len(blocks) {
				types = append(types, string(blocks[i].BlockType()))
			}
		}
	}
	if len(types) > 0 {
		return types
	}
	for _, b := range blocks {
		types = append(types, string(b.BlockType()))
	}
	return types
}

// newer leaves of refused types those that not every workspace takes and that
// are not in what Slack took at last.
func newer(types []string, taken []slack.Block) []string {
	slices.Sort(types)
	return slices.DeleteFunc(slices.Compact(types), func(s string) bool {
		kind := slack.MessageBlockType(s)
		return slices.Contains(settled, kind) || slices.ContainsFunc(taken, func(b slack.Block) bool { return b.BlockType() == kind })
	})
}

func (a *App) degraded(t target, ts string, rung int, reason error, types []string) {
	d := Degraded{Method: t.method, Channel: first(t.channel, responses), TS: first(ts, t.ts), Rung: rung, Reason: reason.Error(), Types: types}
	level := slog.LevelInfo // it was known
	if errors.Is(reason, ErrRefusedBlocks) {
		level = slog.LevelWarn
	}
	a.log.Log(context.Background(), level, "slack message stepped down", "channel", d.Channel, "ts", d.TS, "rung", rung, "refused", types, "err", reason)
	a.rungs.count(d)
	if a.opts.OnDegrade != nil {
		a.opts.OnDegrade(d)
	}
}

// SteppedDown is how often messages stood lower than wished since the start,
// and the last of them.
type SteppedDown struct {
	Messages int       `json:"messages"`
	Rung     int       `json:"rung,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Reason   string    `json:"reason,omitempty"`
}

// rungs keeps that count.
type rungs struct {
	mu sync.Mutex
	SteppedDown
}

func (r *rungs) count(d Degraded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.SteppedDown = SteppedDown{Messages: r.Messages + 1, Rung: d.Rung, At: time.Now().UTC(), Reason: d.Reason}
}

func (r *rungs) now() SteppedDown {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.SteppedDown
}
