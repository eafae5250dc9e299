package slackapp

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/slack-go/slack"
)

// What a caller may want to tell apart, with errors.Is.
var (
	// ErrGone: the message, or the response address, can no longer be written;
	// post anew.
	ErrGone = errors.New("message gone")
	// ErrExpiredTrigger: three seconds passed, or the trigger was used; ask the
	// person to press again.
	ErrExpiredTrigger = errors.New("trigger expired")
	// ErrHashConflict: somebody wrote a newer view; read it and try again.
	ErrHashConflict = errors.New("view changed meanwhile")
	// ErrRefusedBlocks: Slack does not accept these blocks.
	ErrRefusedBlocks = errors.New("blocks refused")
	// ErrNotAllowed: the token is bad, or lacks a scope or a membership.
	ErrNotAllowed = errors.New("not allowed")
	// ErrUnclear: the call may or may not have had its effect.
	ErrUnclear = errors.New("effect unknown")
)

var meaning = map[string]error{
	"message_not_found": ErrGone, "edit_window_closed": ErrGone, "cant_update_message": ErrGone,
	"block_mismatch": ErrGone, "thread_not_found": ErrGone, "used_url": ErrGone, "expired_url": ErrGone,
	"is_inactive": ErrGone, "channel_not_found": ErrNotAllowed, "is_archived": ErrNotAllowed,
	"expired_trigger_id": ErrExpiredTrigger, "exchanged_trigger_id": ErrExpiredTrigger,
	"trigger_expired": ErrExpiredTrigger, "trigger_exchanged": ErrExpiredTrigger,
	"hash_conflict":  ErrHashConflict,
	"invalid_blocks": ErrRefusedBlocks, "invalid_blocks_format": ErrRefusedBlocks,
	"msg_blocks_too_long": ErrRefusedBlocks,
	"missing_scope":       ErrNotAllowed, "invalid_auth": ErrNotAllowed, "not_authed": ErrNotAllowed,
	"token_revoked": ErrNotAllowed, "token_expired": ErrNotAllowed, "account_inactive": ErrNotAllowed,
	"not_in_channel": ErrNotAllowed, "no_permission": ErrNotAllowed, "user_not_in_channel": ErrNotAllowed,
}

// transient are Slack's own words for "not now"; whether the call acted is not said.
var transient = []string{"internal_error", "fatal_error", "service_unavailable", "request_timeout"}

// RefusesToken reports whether Slack's word is about the token, whatever was
// asked with it.
func RefusesToken(code string) bool {
	return slices.Contains([]string{"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"}, code)
}

// Error is Slack's refusal of a call, or the failure to reach it.
type Error struct {
	Method string
	// Code is Slack's word, or "" when there was no answer.
	Code string
	// Needed and Provided are scopes, with missing_scope.
	Needed, Provided string
	// Details point into the blocks, with invalid_blocks.
	Details []string
	// Status is the HTTP status when it was not 200, else 0.
	Status int
	// Unclear: the call may have acted.
	Unclear bool
	err     error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "slack %s: ", e.Method)
	switch {
	case e.Code != "":
		b.WriteString(e.Code)
	case e.Status != 0:
		fmt.Fprintf(&b, "http status %d", e.Status)
	default:
		fmt.Fprint(&b, e.err)
	}
	if e.Needed != "" {
		fmt.Fprintf(&b, " (needs %s, has %s)", e.Needed, e.Provided)
	}
	if len(e.Details) > 0 {
		fmt.Fprintf(&b, ": %s", strings.Join(e.Details, "; "))
	}
	if e.Unclear {
		b.WriteString(" (effect unknown)")
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.err }

// Is matches the kinds above.
func (e *Error) Is(target error) bool {
	return target == ErrUnclear && e.Unclear || e.Code != "" && meaning[e.Code] == target
}

// wrap makes an *Error of whatever slack-go answered. It drops the address from
// transport errors: a response or upload address is a secret.
func wrap(method string, err error) *Error {
	e := &Error{Method: method, err: err}
	if u, ok := errors.AsType[*url.Error](err); ok {
		e.err = u.Err
	}
	if r, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		e.Code, e.Needed, e.Provided = r.Err, r.Needed, r.Provided
		e.Details = r.ResponseMetadata.Messages
		e.Unclear = slices.Contains(transient, r.Err)
		return e
	}
	if s, ok := errors.AsType[slack.StatusCodeError](err); ok {
		e.Status, e.Unclear = s.Code, s.Code >= http.StatusInternalServerError
		return e
	}
	if d, ok := errors.AsType[*net.OpError](err); ok && d.Op == "dial" {
		return e // the request never left
	}
	e.Unclear = true
	return e
}
