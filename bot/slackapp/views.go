package slackapp

import (
	"context"
	"time"

	"github.com/slack-go/slack"
)

// View names an open modal or home page; Hash guards its next update.
type View struct{ ID, Hash string }

// OpenView opens a modal for whoever caused the trigger. A trigger lives three
// seconds, so a call that cannot be made by then is given up.
func (a *App) OpenView(ctx context.Context, triggerID string, v slack.ModalViewRequest) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return a.view(ctx, request{method: "views.open"}, func(ctx context.Context) (*slack.ViewResponse, error) {
		return a.api.OpenViewContext(ctx, triggerID, v)
	})
}

// UpdateView puts v in place of an open modal. With a hash that is no longer the
// newest it fails with ErrHashConflict; an empty hash overwrites.
func (a *App) UpdateView(ctx context.Context, old View, v slack.ModalViewRequest) (View, error) {
	return a.view(ctx, request{method: "views.update", repeatable: old.Hash == ""}, func(ctx context.Context) (*slack.ViewResponse, error) {
		return a.api.UpdateViewContext(ctx, v, "", old.Hash, old.ID)
	})
}

// PublishHome puts v on a person's App Home, under the same rule for the hash.
func (a *App) PublishHome(ctx context.Context, user, hash string, v slack.HomeTabViewRequest) (View, error) {
	req := slack.PublishViewContextRequest{UserID: user, View: v}
	if hash != "" {
		req.Hash = &hash
	}
	return a.view(ctx, request{method: "views.publish", repeatable: hash == ""}, func(ctx context.Context) (*slack.ViewResponse, error) {
		return a.api.PublishViewContext(ctx, req)
	})
}

func (a *App) view(ctx context.Context, r request, fn func(context.Context) (*slack.ViewResponse, error)) (View, error) {
	var v View
	err := a.call(ctx, r, func(ctx context.Context) error {
		resp, err := fn(ctx)
		if err != nil {
			return err
		}
		v = View{ID: resp.View.ID, Hash: resp.View.Hash}
		return nil
	})
	return v, err
}
