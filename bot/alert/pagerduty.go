package alert

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"
)

// PagerDuty speaks its Events API v2.
type PagerDuty struct {
	URL        string // https://events.pagerduty.com, or that of the EU
	RoutingKey string
	Source     string // what the alerts come from: the fleet's tag
	Client     *http.Client
}

// event is the body of a call.
type event struct {
	RoutingKey string   `json:"routing_key"`
	Action     string   `json:"event_action"` // trigger, resolve
	DedupKey   string   `json:"dedup_key"`
	Client     string   `json:"client,omitempty"`
	Payload    *payload `json:"payload,omitempty"` // with trigger
}

type payload struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  Severity          `json:"severity"`
	Timestamp string            `json:"timestamp"`
	Component string            `json:"component,omitempty"`
	Group     string            `json:"group,omitempty"`
	Class     string            `json:"class,omitempty"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

// maxSummary is PagerDuty's limit, in characters.
const maxSummary = 1024

// Name implements [Endpoint].
func (p PagerDuty) Name() string { return "pagerduty" }

// Refresh implements [Endpoint].
func (p PagerDuty) Refresh() time.Duration { return 0 }

// Send implements [Endpoint].
func (p PagerDuty) Send(ctx context.Context, d Due) error {
	e := event{RoutingKey: p.RoutingKey, Action: "resolve", DedupKey: "dropleak/" + d.Alert.Key}
	if d.Firing {
		a := d.Alert
		source := a.Droplet
		if source == "" {
			source = p.Source
		}
		e.Action, e.Client = "trigger", "dropleak"
		e.Payload = &payload{Summary: cut(a.Title, maxSummary), Source: source, Severity: a.Severity, Timestamp: a.Since.UTC().Format(time.RFC3339),
			Component: cmp.Or(a.Worker, a.Source), Group: p.Source, Class: string(a.Kind), Details: details(a)}
	}
	return post(ctx, p.Client, strings.TrimRight(p.URL, "/")+"/v2/enqueue", e, nil)
}

// details are what is known besides.
func details(a Alert) map[string]string {
	out := map[string]string{}
	for k, v := range map[string]string{"detail": a.Detail, "droplet_id": a.DropletID, "finding": a.Finding, "run": a.Run} {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
