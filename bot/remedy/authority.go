package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Person is what Slack knows of somebody who clicked.
type Person struct {
	ID       string
	Team     string // the workspace the account belongs to
	Bot      bool
	Deleted  bool
	Guest    bool // restricted or ultra restricted
	Stranger bool // from outside, in a shared channel
}

// ErrNobody is what People says of an id that belongs to nobody, however often
// it is asked.
var ErrNobody = errors.New("nobody has this id")

// People answers who somebody is and who is in a user group.
type People interface {
	Person(ctx context.Context, user string) (Person, error)
	Members(ctx context.Context, group string) ([]string, error)
}

// Code says why a decision was refused, for programs.
type Code string

// The refusals.
const (
	NoRun        Code = "no_run"
	NotAPerson   Code = "not_a_person"
	OtherTeam    Code = "other_team"
	Guest        Code = "guest"
	NotApprover  Code = "not_approver"
	OwnRequest   Code = "own_request"
	AskedAlready Code = "asked_already" // this person has voted
	Decided      Code = "decided"       // somebody else was first
	Over         Code = "over"          // the run has ended
	Expired      Code = "expired"
	TooLate      Code = "too_late" // the restart order is on its way
	NeedsReason  Code = "needs_reason"
	Moved        Code = "moved" // the target is not what was approved
	CannotTell   Code = "cannot_tell"
	NotOffered   Code = "not_offered" // what was asked is no answer to this question
)

// Refusal is why a decision was not taken, with what to say to whoever made
// it. By, where somebody else decided, is that person's Slack id.
type Refusal struct {
	Code  Code
	Words string
	By    string
}

// Error implements error.
func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Words }

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Words: fmt.Sprintf(format, args...)}
}

// authority decides who may decide. It asks Slack at each click; only the
// members of groups are remembered, for minutes.
type authority struct {
	people    People
	team      string
	approvers []string
	remember  time.Duration

	mu     sync.Mutex
	groups map[string]members
}

type members struct {
	ids []string
	at  time.Time
}

// check returns nil, or why this person may not decide. team is the
// workspace the click came from.
func (a *authority) check(ctx context.Context, user, team string) *Refusal {
	p, err := a.people.Person(ctx, user)
	switch {
	case errors.Is(err, ErrNobody):
		return refuse(NotAPerson, "Slack knows nobody by the id %s, so nothing was done.", user)
	case err != nil:
		return refuse(CannotTell, "Slack could not be asked who you are just now, so nothing was done. Try again in a minute.")
	case user == "" || p.ID != user || p.Bot || p.Deleted:
		return refuse(NotAPerson, "Only people can decide this.")
	case a.team != "" && (team != a.team || p.Team != a.team):
		return refuse(OtherTeam, "You belong to another workspace. Only members of this one can decide.")
	case p.Stranger:
		return refuse(OtherTeam, "You are here from another organisation. Only members of this workspace can decide.")
	case p.Guest:
		return refuse(Guest, "Guests cannot decide this. Ask one of the approvers.")
	}
	ok, err := a.approver(ctx, user)
	switch {
	case err != nil:
		return refuse(CannotTell, "Slack could not be asked who is in the approvers' group just now, so nothing was done. Try again in a minute.")
	case !ok:
		return refuse(NotApprover, "You are not among the configured approvers, so nothing was done. Ask one of them.")
	}
	return nil
}

// approver looks the user up in the list and in the groups it names.
func (a *authority) approver(ctx context.Context, user string) (bool, error) {
	var groups []string
	for _, entry := range a.approvers {
		id := slackID(entry)
		switch {
		case strings.HasPrefix(id, "S"):
			groups = append(groups, id)
		case id == user:
			return true, nil
		}
	}
	var last error
	for _, g := range groups {
		ids, err := a.members(ctx, g)
		if err != nil {
			last = err
			continue
		}
		if slices.Contains(ids, user) {
			return true, nil
		}
	}
	return false, last
}

func (a *authority) members(ctx context.Context, group string) ([]string, error) {
	a.mu.Lock()
	m, ok := a.groups[group]
	a.mu.Unlock()
	if ok && time.Since(m.at) < a.remember {
		return m.ids, nil
	}
	ids, err := a.people.Members(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("reading the members of group %s: %w", group, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.groups == nil {
		a.groups = map[string]members{}
	}
	a.groups[group] = members{ids, time.Now()}
	return ids, nil
}

// slackID reads an id as people write it: U123, <@U123>, <@U123|name>,
// S123, <!subteam^S123>, <!subteam^S123|@name>.
func slackID(s string) string {
	s = strings.Trim(strings.TrimSpace(s), "<>")
	s = strings.TrimPrefix(strings.TrimPrefix(s, "!subteam^"), "@")
	s, _, _ = strings.Cut(s, "|")
	return s
}
