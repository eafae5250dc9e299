package demo

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/order"
)

// tap is the agent's way to the service. It writes down which orders the
// agent was given: what really happened, whatever either side says later.
type tap struct {
	mu     sync.Mutex
	claims []claim
}

// claim is one order given to the agent.
type claim struct {
	Key string
	At  time.Time // when the claim was sent
}

// RoundTrip implements [http.RoundTripper].
func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	at := time.Now()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || resp.StatusCode >= 300 {
		return resp, err
	}
	key, isClaim := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, order.PathOrders+"/"), "/claim")
	if r.Method == http.MethodPost && isClaim {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.claims = append(t.claims, claim{key, at})
	}
	return resp, err
}

// restarts are the claims of restart orders; those that only look carry
// their kind in the key.
func (t *tap) restarts() []claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []claim
	for _, c := range t.claims {
		if !strings.Contains(c.Key, ".") {
			out = append(out, c)
		}
	}
	return out
}
