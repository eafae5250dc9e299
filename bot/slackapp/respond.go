package slackapp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

// How changes what Respond does with its message.
type How struct {
	InChannel bool // seen by all, not by the asker alone
	Replace   bool // in place of the message the button stood in
	Delete    bool // that message goes; the text is not used
}

// Respond answers a command or click through its response address: five times,
// within thirty minutes, then ErrGone. It needs no membership of the channel. A
// picture of ours cannot be shown this way.
func (a *App) Respond(ctx context.Context, responseURL string, m Message, how ...How) error {
	if err := a.checkResponseURL(responseURL); err != nil {
		return err
	}
	var h How
	if len(how) > 0 {
		h = how[0]
	}
	return a.climbDown(ctx, target{method: responses}, m, func(blocks []slack.Block) (string, error) {
		return "", a.respondOnce(ctx, responseURL, m, blocks, h)
	})
}

// checkResponseURL lets nothing through but Slack's hooks host, and the
// simulator's own when the API itself is on loopback: the address came in a
// request, and we would post the report to it.
func (a *App) checkResponseURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("slack response address does not parse")
	}
	if u.Scheme == "https" && u.User == nil && u.Port() == "" &&
		(strings.EqualFold(u.Host, "hooks.slack.com") || strings.EqualFold(u.Host, "hooks.slack-gov.com")) {
		return nil
	}
	if loopback(a.apiURL.Hostname()) && u.Scheme == a.apiURL.Scheme && u.Host == a.apiURL.Host && u.User == nil {
		return nil
	}
	return fmt.Errorf("slack response address on %q refused", u.Host)
}

func (a *App) respondOnce(ctx context.Context, responseURL string, m Message, blocks []slack.Block, h How) error {
	body := map[string]any{"replace_original": h.Replace, "delete_original": h.Delete, "response_type": "ephemeral"}
	if h.InChannel {
		body["response_type"] = "in_channel"
	}
	if !h.Delete {
		body["text"] = cut(m.Text, maxPostText)
		body["unfurl_links"], body["unfurl_media"] = false, false
		if len(blocks) > 0 {
			body["blocks"] = blocks
		}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write slack response: %w", err)
	}
	// Replacing twice does no harm, saying twice does.
	r := request{method: "response_url", repeatable: h.Replace || h.Delete}
	return a.call(ctx, r, func(ctx context.Context) error { return a.postResponse(ctx, responseURL, raw) })
}

func (a *App) postResponse(ctx context.Context, to string, raw []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.opts.HTTPClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return err
	}
	return responseError(resp, answer)
}

// responseError reads the answer of a response address: "ok" in plain text, or
// JSON, or a word with a status of 400 to 500.
func responseError(resp *http.Response, answer []byte) error {
	if resp.StatusCode == http.StatusTooManyRequests {
		n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil {
			n = 5
		}
		return &slack.RateLimitedError{RetryAfter: time.Duration(n) * time.Second}
	}
	var j slack.SlackResponse
	if json.Unmarshal(answer, &j) == nil && !j.Ok && j.Error != "" {
		return j.Err()
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	if word := strings.TrimSpace(string(answer)); meaning[word] != nil {
		return slack.SlackErrorResponse{Err: word}
	}
	return slack.StatusCodeError{Code: resp.StatusCode, Status: resp.Status}
}
