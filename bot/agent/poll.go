package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/dropleak/dropleak/bot/order"
)

// pollWait is how long the service may hold a request for orders.
const pollWait = 30 * time.Second

// orders is the agent's end of the order wire.
type orders struct {
	server string
	http   *http.Client
}

func (o *orders) do(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(o.server, "/")+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := o.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, order.MaxBody+1))
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, answer, nil
}

// poll waits for orders; none is an empty list.
func (o *orders) poll(ctx context.Context) ([]order.Order, error) {
	status, body, err := o.do(ctx, http.MethodGet, fmt.Sprintf("%s?wait=%s", order.PathOrders, pollWait), nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask for orders: %w", err)
	case status == http.StatusNoContent:
		return nil, nil
	case status != http.StatusOK:
		return nil, fmt.Errorf("ask for orders: %w", statusError(status, body))
	}
	return order.ReadOrders(bytes.NewReader(body))
}

// claim reports whether the order is ours; false: somebody claimed it.
func (o *orders) claim(ctx context.Context, key string) (bool, error) {
	status, body, err := o.do(ctx, http.MethodPost, order.ClaimPath(key), []byte("{}"))
	switch {
	case err != nil:
		return false, fmt.Errorf("claim order %s: %w", key, err)
	case status/100 == 2:
		return true, nil
	case status == http.StatusConflict:
		return false, nil
	}
	return false, fmt.Errorf("claim order %s: %w", key, statusError(status, body))
}

// deliver sends a result until the service has it or will never take it.
func (o *orders) deliver(ctx context.Context, r order.Result) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("send result of order %s: %w", r.Key(), err)
	}
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		status, answer, err := o.do(ctx, http.MethodPost, order.ResultPath(r.Key()), body)
		if err != nil || status/100 == 2 {
			return struct{}{}, err
		}
		err = statusError(status, answer)
		switch status {
		case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity,
			http.StatusRequestEntityTooLarge:
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: time.Second, RandomizationFactor: 0.5, Multiplier: 2,
		MaxInterval: time.Minute}), backoff.WithMaxElapsedTime(0))
	if err != nil {
		return fmt.Errorf("send result of order %s: %w", r.Key(), err)
	}
	return nil
}

func statusError(status int, body []byte) error {
	text := strings.ToValidUTF8(strings.TrimSpace(string(body[:min(len(body), 200)])), "?")
	return fmt.Errorf("%w %d %s: %s", errStatus, status, http.StatusText(status), text)
}
