package chat

import (
	"context"
	"errors"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
)

// requestSettles is how long a request may stand without its run: between the
// two a process may be slow.
const requestSettles = time.Minute

// EndRequests ends requests whose run is over, or never began because the
// service died before it did. A release that knew no requests opened a leak
// instead, which stands for ever where none is: these end here too.
func (c *Chat) EndRequests(ctx context.Context) error {
	live, err := c.o.Findings.Findings(ctx, finding.Filter{Live: true})
	errs := []error{err}
	for _, f := range live {
		if f.OnRequest() && time.Since(f.Updated) > requestSettles {
			errs = append(errs, c.endRequest(ctx, f))
		}
	}
	return errors.Join(errs...)
}

func (c *Chat) endRequest(ctx context.Context, f finding.Finding) error {
	run, err := c.runOf(ctx, f)
	if err != nil || run != nil && !ends(f, run.Outcome) {
		return err
	}
	ours := false
	_, err = finding.Change(ctx, c.o.Findings, f.ID, func(f *finding.Finding) error {
		if ours = f.OnRequest() && !f.State.Final(); !ours {
			return finding.ErrUnchanged
		}
		return f.Resolve(saysRequestOver, time.Now())
	})
	if err != nil || !ours || f.MessageTS == "" {
		return err
	}
	return c.refresh(ctx, f.ID, false)
}

// ends reports whether a request ends with a run that ended so. What an older
// release opened calls somebody while that run left a person something to do, and
// goes on calling.
func ends(f finding.Finding, o remedy.Outcome) bool {
	return o != "" && (f.Subject.Kind == finding.KindRequest || !loud(o))
}
