package doclient

import (
	"context"
	"fmt"
	"strconv"

	"github.com/digitalocean/godo"
)

// Executor is a Reader that may also act. Each of its orders is one POST or
// DELETE that is never repeated; the caller journals it before, and asks
// [Unclear] after. It is safe for concurrent use.
type Executor struct{ *Reader }

// NewExecutor returns an Executor with a token of [ExecutorScopes]. It sends nothing.
func NewExecutor(opts Options) (*Executor, error) {
	r, err := NewReader(opts)
	if err != nil {
		return nil, err
	}
	return &Executor{r}, nil
}

// Snapshot starts a snapshot of a running droplet under a name, which must be
// unique, since it is the only way to find the snapshot afterwards.
func (x *Executor) Snapshot(ctx context.Context, dropletID int64, name string) (Action, error) {
	if name == "" {
		return Action{}, fmt.Errorf("snapshot droplet %d without a name: %w", dropletID, ErrNotAllowed)
	}
	return x.order(ctx, "snapshot", dropletID, []string{"droplet:update", "image:create"},
		func(id int) (*godo.Action, *godo.Response, error) {
			return x.api.DropletActions.Snapshot(ctx, id, name)
		})
}

// Reboot starts a reboot, which asks the droplet's system to shut down first.
func (x *Executor) Reboot(ctx context.Context, dropletID int64) (Action, error) {
	return x.order(ctx, "reboot", dropletID, []string{"droplet:update"},
		func(id int) (*godo.Action, *godo.Response, error) { return x.api.DropletActions.Reboot(ctx, id) })
}

// PowerCycle starts a power cycle: the reset button, nothing is shut down.
func (x *Executor) PowerCycle(ctx context.Context, dropletID int64) (Action, error) {
	return x.order(ctx, "power-cycle", dropletID, []string{"droplet:update"},
		func(id int) (*godo.Action, *godo.Response, error) { return x.api.DropletActions.PowerCycle(ctx, id) })
}

// order sends one POST.
func (x *Executor) order(ctx context.Context, verb string, dropletID int64, scopes []string, post func(int) (*godo.Action, *godo.Response, error)) (Action, error) {
	op := fmt.Sprintf("%s droplet %d", verb, dropletID)
	if err := x.allowed(ctx, op, dropletID); err != nil {
		return Action{}, err
	}
	a, resp, err := post(int(dropletID))
	if err := explain(op, scopes, err); err != nil {
		return Action{}, err
	}
	if a == nil || a.ID == 0 {
		return Action{}, &Error{Op: op, Status: resp.StatusCode, Message: "without an action", RequestID: cut(resp.Header.Get("X-Request-Id"))}
	}
	return actionOf(*a), nil
}

// allowed is the fence of Options.OnlyTag. Its errors are all ErrNotAllowed:
// nothing was ordered.
func (x *Executor) allowed(ctx context.Context, op string, dropletID int64) error {
	if x.opts.OnlyTag == "" {
		return nil
	}
	d, err := x.Droplet(ctx, dropletID)
	if err != nil {
		return fmt.Errorf("%s: %w: its tags are not known: %w", op, ErrNotAllowed, err)
	}
	if !d.Tagged(x.opts.OnlyTag) {
		return fmt.Errorf("%s: %w: it is not tagged %s", op, ErrNotAllowed, x.opts.OnlyTag)
	}
	return nil
}

// DeleteSnapshot deletes a snapshot after reading it once more: id, name and
// droplet must be those of s, so that neither a backup nor somebody else's image
// is deleted by a number. A snapshot that is already gone is [ErrNotFound].
func (x *Executor) DeleteSnapshot(ctx context.Context, s Snapshot) error {
	op := fmt.Sprintf("delete snapshot %s of droplet %d", s.ID, s.DropletID)
	if _, err := strconv.ParseInt(s.ID, 10, 64); err != nil {
		return fmt.Errorf("%s: %w: that is no droplet snapshot's id", op, ErrNotAllowed)
	}
	there, err := x.snapshotByID(ctx, op, s.ID)
	if err != nil {
		return fmt.Errorf("look before deleting: %w", beforehand(err))
	}
	if there.Name != s.Name || there.DropletID != s.DropletID {
		return fmt.Errorf("%s: %w: it is %q of droplet %d, not %q", op, ErrNotAllowed, there.Name, there.DropletID, s.Name)
	}
	_, err = x.api.Snapshots.Delete(ctx, s.ID)
	return explain(op, []string{"image:delete", "snapshot:delete"}, err)
}

// beforehand marks what failed before the order as certainly not carried out.
func beforehand(err error) error {
	if e, ok := err.(*Error); ok {
		e.unsent = true
	}
	return err
}
