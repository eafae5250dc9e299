package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// RefusedError is an answer that is not a yes.
type RefusedError struct {
	Status int
	Body   string        // its beginning
	After  time.Duration // as Retry-After asks; 0: it does not
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.Body == "" {
		return fmt.Sprintf("answered %d", e.Status)
	}
	return fmt.Sprintf("answered %d: %s", e.Status, e.Body)
}

// post sends JSON and wants a 2xx. Redirects are not followed: they would
// carry the alert, and its signature, to where nobody configured.
func post(ctx context.Context, client *http.Client, to string, body any, header map[string]string) error {
	raw, ok := body.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return fmt.Errorf("write the alert: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("address of the endpoint: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "dropleak")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := direct(client).Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 300))
	if resp.StatusCode/100 == 2 {
		return nil
	}
	if err != nil {
		said = nil
	}
	return &RefusedError{Status: resp.StatusCode, Body: oneLine(string(said)), After: retryAfter(resp.Header.Get("Retry-After"))}
}

func direct(client *http.Client) *http.Client {
	c := http.Client{}
	if client != nil {
		c = *client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// withoutURL takes the address out of an error: its path or query may be a
// secret.
func withoutURL(err error) error {
	if u, ok := err.(*url.Error); ok {
		return u.Err
	}
	return err
}

func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s))
}

// retryAfter reads seconds; a date, or anything else, is 0.
func retryAfter(s string) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 || n > 86400 {
		return 0
	}
	return time.Duration(n) * time.Second
}
