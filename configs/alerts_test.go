package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAlerts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Read("x.yaml", []byte(least+`alerts:
  below: 90m
  webhook: {url: "https://hooks.internal/dropleak", secret_env: W}
  pagerduty: {key_env: K}
  alertmanager:
  - {url: "http://127.0.0.1:9093"}
  - {url: "https://am.internal", user: u, password_env: P}
`), func(name string) (string, bool) {
		if name == "W" {
			return "", false
		}
		if name == "W_FILE" {
			return file, true
		}
		return all(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	a := c.Alerts
	if a.Below != Duration(90*time.Minute) || a.LostAfter != Duration(10*time.Minute) || len(a.Webhook.Secret) != 24 || a.PagerDuty.Key != "secret-K" ||
		a.PagerDuty.URL != "https://events.pagerduty.com" || a.Alertmanager[1].Password != "secret-P" {
		t.Errorf("%+v", a)
	}
	if c, err = Read("x.yaml", []byte(least), all); err != nil || c.Alerts.Webhook.URL != "" || c.Alerts.PagerDuty.URL != "" {
		t.Errorf("by default: %+v, %v", c.Alerts, err)
	}
}

// TestAlertProblems: each has its line and column, or names its variable, and
// none repeats a secret.
func TestAlertProblems(t *testing.T) {
	for text, want := range map[string]string{
		"below: 10s":      "x.yaml:4:10: alerts.below",
		"lost_after: -1m": "x.yaml:4:15: alerts.lost_after",
		"webhook: {url: 'http://10.0.0.1/x', secret_env: LONG_ENOUGH_SECRET}":      "in the clear",
		"webhook: {url: 'https://h.internal/x'}":                                   "alerts.webhook.secret_env: is not set",
		"webhook: {url: 'ftp://h.internal/x', secret_env: LONG_ENOUGH_SECRET}":     "x.yaml:4:18: alerts.webhook.url",
		"webhook: {url: 'https://h.internal/x', secret_env: S}":                    "S: is shorter than 16 bytes",
		"webhook: {url: 'https://h.internal/x', secret_env: GONE_FILE}":            "is not set, nor is GONE_FILE_FILE",
		"pagerduty: {url: 'https://events.eu.pagerduty.com'}":                      "alerts.pagerduty.key_env",
		"pagerduty: {key_env: K, url: 'http://events.pagerduty.com'}":              "in the clear",
		"alertmanager: [{url: 'http://10.0.0.1:9093', user: u, password_env: P}]":  "in the clear",
		"alertmanager: [{url: 'http://10.0.0.1:9093', user: u}]":                   "",
		"alertmanager: [{url: 'https://a.internal', user: u}]":                     "belong together",
		"alertmanager: [{url: 'https://a.internal'}, {url: 'https://a.internal'}]": "stands there twice",
		"alertmanager: [{url: 'https://a.internal/am/api/v2/'}]":                   "alerts.alertmanager[0].url: is given without /api/v2",
		"alertmanager: [{uri: 'https://a.internal'}]":                              "uri",
		"alertmanager: [{url: 'https://u:hunter2@a.internal'}]":                    "carries a user or password",
	} {
		_, err := Read("x.yaml", []byte(least+"alerts:\n  "+text+"\n"), all)
		var ps Problems
		if !errors.As(err, &ps) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "secret-") {
			t.Errorf("%s: %v, want a problem with %q", text, err, want)
		}
	}
}
