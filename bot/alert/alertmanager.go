package alert

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// Alertmanager speaks the API v2 of one Alertmanager. A cluster wants each of
// its members told.
type Alertmanager struct {
	URL    string // without /api/v2
	User   string // of basic authentication; empty: none
	Secret string
	Client *http.Client
}

// again is how often a firing alert is told again: an Alertmanager forgets
// what nobody repeats. It believes one for three times as long.
const again = time.Minute

// posted is one alert as the API takes it.
type posted struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// Name implements [Endpoint].
func (m Alertmanager) Name() string { return "alertmanager " + strings.TrimRight(m.URL, "/") }

// Refresh implements [Endpoint].
func (m Alertmanager) Refresh() time.Duration { return again }

// names are what the kinds are called in routes.
var names = map[Kind]string{RunningOut: "DropleakRunningOut", FailedRun: "DropleakFailedRun", LostSlack: "DropleakLostSlack",
	LostDroplet: "DropleakLostDroplet", LostSource: "DropleakLostSource",
	OverdueReport: "DropleakOverdueReport", Trial: "DropleakTrial"}

// Send implements [Endpoint]. Labels are the identity of an alert there: what
// may change stands in the annotations. One that becomes more urgent is
// another alert there; the milder one ends by itself.
func (m Alertmanager) Send(ctx context.Context, d Due) error {
	a := d.Alert
	p := posted{Labels: map[string]string{"alertname": names[a.Kind], "key": a.Key, "severity": string(a.Severity), "service": "dropleak"},
		Annotations: map[string]string{"summary": a.Title}, StartsAt: a.Since, EndsAt: d.Changed}
	for k, v := range map[string]string{"droplet": a.Droplet, "droplet_id": a.DropletID, "worker": a.Worker, "source": a.Source} {
		if v != "" {
			p.Labels[k] = v
		}
	}
	for k, v := range details(a) {
		p.Annotations[k] = v
	}
	if d.Firing {
		p.EndsAt = time.Now().Add(3 * again)
	}
	if !p.StartsAt.Before(p.EndsAt) {
		p.StartsAt = p.EndsAt.Add(-time.Second)
	}
	header := map[string]string{}
	if m.User != "" {
		header["Authorization"] = basic(m.User, m.Secret)
	}
	return post(ctx, m.Client, strings.TrimRight(m.URL, "/")+"/api/v2/alerts", []posted{p}, header)
}

func basic(user, secret string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, secret)
	return r.Header.Get("Authorization")
}
