package remedy_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/doclient"
)

// cloud is DigitalOcean.
type cloud struct{ p *process }

func (c *cloud) act(kind, name string) (a doclient.Action, err error) {
	err = c.p.cross("call "+kind, func() error {
		w := c.p.w
		w.mu.Lock()
		defer w.mu.Unlock()
		w.settle()
		for _, b := range w.actions {
			if b.Status == doclient.InProgress {
				return &doclient.Error{Status: http.StatusUnprocessableEntity, Message: "Droplet already has a pending event."}
			}
		}
		a = doclient.Action{ID: int64(1000 + len(w.actions)), DropletID: droplet, Type: kind, Status: doclient.InProgress, StartedAt: time.Now()}
		w.actions = append(w.actions, a)
		w.names[a.ID] = name
		w.doers[a.ID] = c.p.doing
		what, run := kind, name[strings.LastIndex(name, "-")+1:]
		if kind == doclient.TypeReboot {
			what, run = "restart", c.p.doing // a reboot bears no name
		}
		// DigitalOcean compares no fingerprint: what a reboot ends is what was
		// there at the run's last look, its own or that of who had the run before.
		old := cmp.Or(c.p.looked[c.p.doing], w.looked[c.p.doing])
		w.deeds = append(w.deeds, deed{time.Now(), what, run, old, w.missing()})
		return nil
	})
	return a, err
}

func (c *cloud) Snapshot(_ context.Context, _ int64, name string) (doclient.Action, error) {
	return c.act(doclient.TypeSnapshot, name)
}
func (c *cloud) Reboot(context.Context, int64) (doclient.Action, error) {
	return c.act(doclient.TypeReboot, "")
}
func (c *cloud) PowerCycle(context.Context, int64) (doclient.Action, error) {
	return c.act(doclient.TypePowerCycle, "")
}

// lock runs f on the world, as something that happens out there.
func (w *world) lock(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// settle brings actions up to now.
func (w *world) settle() {
	for i, a := range w.actions {
		if a.Status != doclient.InProgress || time.Since(a.StartedAt) < w.snapshotTakes {
			continue
		}
		a.Status, a.CompletedAt = doclient.Completed, time.Now()
		if w.snapshotEnds != "" {
			a.Status = w.snapshotEnds
		}
		w.actions[i] = a
		if a.Status == doclient.Completed && a.Type == doclient.TypeSnapshot {
			w.snaps = append(w.snaps, doclient.Snapshot{ID: fmt.Sprint(a.ID), DropletID: droplet, Name: w.names[a.ID], SizeGB: 11, CreatedAt: a.StartedAt})
		}
		if a.Status == doclient.Completed && a.Type == doclient.TypeReboot {
			w.boot = fmt.Sprintf("boot-%d", len(w.actions)+1)
			for worker := range w.life {
				w.newLife(worker)
			}
		}
	}
}

func (c *cloud) Action(_ context.Context, id int64) (a doclient.Action, err error) {
	err = c.p.cross("call action", func() error {
		c.p.w.mu.Lock()
		defer c.p.w.mu.Unlock()
		c.p.w.settle()
		i := slices.IndexFunc(c.p.w.actions, func(a doclient.Action) bool { return a.ID == id })
		if i < 0 || c.p.w.lose {
			return doclient.ErrNotFound
		}
		a = c.p.w.actions[i]
		return nil
	})
	return a, err
}

func (c *cloud) FindActions(_ context.Context, _ int64, kind string, since time.Time) (out []doclient.Action, err error) {
	err = c.p.cross("call find actions", func() error {
		c.p.w.mu.Lock()
		defer c.p.w.mu.Unlock()
		c.p.w.settle()
		for _, a := range c.p.w.actions {
			if a.Type == kind && !a.StartedAt.Before(since.Add(-doclient.Slack)) {
				out = append(out, a)
			}
		}
		return nil
	})
	return out, err
}

func (c *cloud) SnapshotByName(_ context.Context, _ int64, name string) (s doclient.Snapshot, err error) {
	err = c.p.cross("call snapshot by name", func() error {
		c.p.w.mu.Lock()
		defer c.p.w.mu.Unlock()
		c.p.w.settle()
		i := slices.IndexFunc(c.p.w.snaps, func(s doclient.Snapshot) bool { return s.Name == name })
		if i < 0 {
			return doclient.ErrNotFound
		}
		s = c.p.w.snaps[i]
		return nil
	})
	return s, err
}

// Snapshots lists what stands.
func (c *cloud) Snapshots(context.Context, int64) (out []doclient.Snapshot, err error) {
	err = c.p.cross("call snapshots", func() error {
		c.p.w.lock(func() { c.p.w.settle(); out = slices.Clone(c.p.w.snaps) })
		return nil
	})
	return out, err
}

func (c *cloud) DeleteSnapshot(_ context.Context, s doclient.Snapshot) error {
	return c.p.cross("call delete", func() error {
		c.p.w.mu.Lock()
		defer c.p.w.mu.Unlock()
		i := slices.IndexFunc(c.p.w.snaps, func(x doclient.Snapshot) bool { return x.ID == s.ID && x.Name == s.Name })
		if i < 0 {
			return doclient.ErrNotFound
		}
		c.p.w.snaps = slices.Delete(c.p.w.snaps, i, i+1)
		return nil
	})
}
