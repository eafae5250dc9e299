package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/order"
)

// step is how far an order got. Each is on disk before the act it names
// begins; the acts themselves are never repeated.
type step string

const (
	claiming  step = "claiming"  // asked for it; nothing else happened
	claimed   step = "claimed"   // it is ours; nothing was touched
	acting    step = "acting"    // the one act begins: a restart job, a TERM
	stopping  step = "stopping"  // the stop begins
	stopped   step = "stopped"   // the stop is done, the start is owed
	ended     step = "ended"     // Result is what became of it
	delivered step = "delivered" // and the service has it
	released  step = "released"  // the claim was refused: as if never seen
)

// entry is one line of the journal. Later lines of the same key add to the
// earlier ones.
type entry struct {
	Key    string        `json:"key"`
	At     time.Time     `json:"at"`
	Step   step          `json:"step"`
	Order  *order.Order  `json:"order,omitempty"`
	Place  *place        `json:"place,omitempty"`
	Result *order.Result `json:"result,omitempty"`
	Acted  time.Time     `json:"acted,omitzero"` // when the act began, for the limit an hour
}

// place is where a supervisord is found again when its worker, which told
// us, is stopped.
type place struct {
	SupervisorURL    string `json:"supervisor_url,omitempty"`
	SupervisorConfig string `json:"supervisor_config,omitempty"`
}

// journal remembers on disk what was done about each order, over the agent's
// own death. One JSON object a line, synced before write returns.
type journal struct {
	mu      sync.Mutex
	file    *os.File
	size    int64
	entries map[string]entry
}

// keepFor is how long ended orders stay known. The service hands an order
// out once; this is the second lock on the same door.
const keepFor = 30 * 24 * time.Hour

func openJournal(dir string, now time.Time) (*journal, error) {
	name := filepath.Join(dir, "orders.journal")
	raw, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &journal{entries: map[string]entry{}}
	if err := j.replay(raw); err != nil {
		return nil, fmt.Errorf("open journal %s: %w", name, err)
	}
	if err := j.rewrite(name, raw, now); err != nil {
		return nil, fmt.Errorf("open journal %s: %w", name, err)
	}
	return j, nil
}

// replay reads lines. Only the last may be torn: it was not synced, so what
// it announces was not begun. A bad line before it is damage nobody should
// act on.
func (j *journal) replay(raw []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, order.MaxBody*2)
	var bad error
	for n := 1; lines.Scan(); n++ {
		if bad != nil {
			return bad
		}
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Key == "" {
			bad = fmt.Errorf("line %d is damaged; look at it, then move the file away", n)
			continue
		}
		j.merge(e)
	}
	return lines.Err()
}

func (j *journal) merge(e entry) entry {
	old := j.entries[e.Key]
	if e.Order == nil {
		e.Order = old.Order
	}
	if e.Place == nil {
		e.Place = old.Place
	}
	if e.Result == nil {
		e.Result = old.Result
	}
	if e.Acted.IsZero() {
		e.Acted = old.Acted
	}
	j.entries[e.Key] = e
	return e
}

// rewrite starts the file anew with one line for each order still worth
// knowing. Where there is no room for that the file is used as it is: a full
// disk must not keep the agent from measuring, nor from a start that is owed.
func (j *journal) rewrite(name string, raw []byte, now time.Time) error {
	var out []byte
	for key, e := range j.entries {
		if e.Step == released || e.Step == delivered && now.Sub(e.At) > keepFor {
			delete(j.entries, key)
			continue
		}
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		out = append(append(out, line...), '\n')
	}
	f, err := writeNew(name+".new", out)
	if err != nil {
		if again := j.reuse(name, raw); again != nil {
			return errors.Join(err, again)
		}
		return nil
	}
	if err := errors.Join(os.Rename(name+".new", name), syncDir(filepath.Dir(name))); err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.size = f, int64(len(out))
	return nil
}

// writeNew makes a durable file, or none.
func writeNew(name string, content []byte) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(name))
	}
	return f, nil
}

// reuse goes on with the file as it is, less a torn last line.
func (j *journal) reuse(name string, raw []byte) error {
	whole := bytes.LastIndexByte(raw, '\n') + 1
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Truncate(int64(whole)); err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.size = f, int64(whole)
	return nil
}

// write adds a line and makes it durable. When it fails, what the line
// announces must not be done.
func (j *journal) write(e entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("journal order %s: %w", e.Key, err)
	}
	line = append(line, '\n')
	_, err = j.file.WriteAt(line, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("journal order %s: %w", e.Key, errors.Join(err, j.file.Truncate(j.size)))
	}
	j.size += int64(len(line))
	j.merge(e)
	return nil
}

func (j *journal) get(key string) (entry, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, ok := j.entries[key]
	return e, ok
}

// open lists the orders not yet delivered, oldest first.
func (j *journal) open() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []entry
	for _, e := range j.entries {
		if e.Step != delivered && e.Step != released {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b entry) int { return a.At.Compare(b.At) })
	return out
}

// acts counts how often a unit was touched since then.
func (j *journal) acts(u order.Unit, since time.Time) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, e := range j.entries {
		if e.Order != nil && e.Order.Unit == u && e.Acted.After(since) {
			n++
		}
	}
	return n
}

func (j *journal) close() { j.file.Close() }
