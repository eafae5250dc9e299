package slackapp

import (
	"context"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

// How long facts about people may be old. Authority is checked at the click, so
// these bound how long a removed approver keeps their word.
const (
	personTTL = 2 * time.Minute
	groupTTL  = 2 * time.Minute
)

// Person is what authority needs to know of a Slack user.
type Person struct {
	ID, Team, Enterprise string
	Name                 string // display name, else real name, else handle; unescaped
	TimeZone             string // IANA name
	// Guest: a single- or multi-channel guest. Bot: any app or bot. Stranger:
	// from another workspace or not confirmed. Deleted: deactivated.
	Guest, Bot, Stranger, Deleted bool
}

// User tells who somebody is, at most two minutes old. It fails rather than guess.
func (a *App) User(ctx context.Context, id string) (Person, error) {
	return a.people.get(ctx, id, func(ctx context.Context) (Person, error) {
		var p Person
		err := a.call(ctx, request{method: "users.info", repeatable: true}, func(ctx context.Context) error {
			u, err := a.api.GetUserInfoContext(ctx, id)
			if err == nil {
				p = person(u)
			}
			return err
		})
		return p, err
	})
}

func person(u *slack.User) Person {
	return Person{ID: u.ID, Team: u.TeamID, Enterprise: u.Enterprise.EnterpriseID,
		Name: first(u.Profile.DisplayName, u.RealName, u.Name), TimeZone: u.TZ,
		Guest:    u.IsRestricted || u.IsUltraRestricted,
		Bot:      u.IsBot || u.IsWorkflowBot || u.IsConnectorBot || u.ID == "USLACKBOT",
		Stranger: u.IsStranger || u.IsInvitedUser,
		Deleted:  u.Deleted}
}

// GroupMembers lists the user ids of a user group, at most two minutes old.
func (a *App) GroupMembers(ctx context.Context, group string) ([]string, error) {
	return a.groups.get(ctx, group, func(ctx context.Context) ([]string, error) {
		var ids []string
		err := a.call(ctx, request{method: "usergroups.users.list", repeatable: true}, func(ctx context.Context) (err error) {
			ids, err = a.api.GetUserGroupMembersContext(ctx, group)
			return err
		})
		return ids, err
	})
}

// cache keeps values for a time; concurrent askers of one key share one call.
type cache[T any] struct {
	ttl time.Duration
	mu  sync.Mutex
	m   map[string]*cached[T]
}

type cached[T any] struct {
	done chan struct{}
	at   time.Time
	v    T
	err  error
}

// maxCached bounds the memory; beyond it the cache starts over.
const maxCached = 10000

func newCache[T any](ttl time.Duration) *cache[T] {
	return &cache[T]{ttl: ttl, m: map[string]*cached[T]{}}
}

func (c *cache[T]) get(ctx context.Context, key string, fetch func(context.Context) (T, error)) (T, error) {
	e, mine := c.entry(key)
	if mine {
		// The answer serves others too: it must not die with the first asker.
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			v, err := fetch(ctx)
			c.settle(key, e, v, err)
		}()
	}
	select {
	case <-e.done:
		return e.v, e.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

func (c *cache[T]) entry(key string) (e *cached[T], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.m[key]; ok && (e.at.IsZero() || time.Since(e.at) < c.ttl) {
		return e, false
	}
	if len(c.m) >= maxCached {
		clear(c.m)
	}
	e = &cached[T]{done: make(chan struct{})}
	c.m[key] = e
	return e, true
}

func (c *cache[T]) settle(key string, e *cached[T], v T, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.v, e.err, e.at = v, err, time.Now()
	if err != nil && c.m[key] == e {
		delete(c.m, key)
	}
	close(e.done)
}
