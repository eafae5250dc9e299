package configs

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/alert"
)

// alerts checks whom to call, and fills in the secrets.
func (v *validator) alerts(env Getenv) {
	a := &v.c.Alerts
	v.atLeast("alerts.below", a.Below, time.Minute)
	v.atLeast("alerts.lost_after", a.LostAfter, time.Minute)
	if a.Webhook.URL != "" || a.Webhook.SecretEnv != "" {
		v.webhook(&a.Webhook, env)
	}
	v.pagerDuty(&a.PagerDuty, env)
	seen := map[string]bool{}
	for i := range a.Alertmanager {
		m, key := &a.Alertmanager[i], fmt.Sprintf("alerts.alertmanager[%d]", i)
		v.calls(key+".url", m.URL, m.User != "")
		if strings.HasSuffix(strings.TrimRight(m.URL, "/"), "/api/v2") {
			v.bad(key+".url", "is given without /api/v2")
		}
		if seen[m.URL] {
			v.bad(key+".url", "stands there twice")
		}
		seen[m.URL] = true
		if (m.User == "") != (m.PasswordEnv == "") {
			v.bad(key, "user and password_env belong together")
		}
		m.Password = v.named(key+".password_env", m.PasswordEnv, env)
	}
}

func (v *validator) webhook(w *Webhook, env Getenv) {
	v.calls("alerts.webhook.url", w.URL, true)
	if w.SecretEnv == "" {
		v.bad("alerts.webhook.secret_env", "is not set; its receiver could not tell who calls")
		return
	}
	text := v.named("alerts.webhook.secret_env", w.SecretEnv, env)
	if text == "" {
		return
	}
	var err error
	if w.Secret, err = alert.Secret(text); err != nil {
		v.missing(w.SecretEnv, "%s", err)
	}
}

func (v *validator) pagerDuty(p *PagerDuty, env Getenv) {
	switch {
	case p.KeyEnv == "" && p.URL == "":
		return
	case p.KeyEnv == "":
		v.bad("alerts.pagerduty.key_env", "is not set; the routing key says which service is called")
	}
	if p.URL == "" {
		p.URL = "https://events.pagerduty.com"
	}
	v.calls("alerts.pagerduty.url", p.URL, true)
	p.Key = v.named("alerts.pagerduty.key_env", p.KeyEnv, env)
}

// calls checks an address that is called, with a secret or without.
func (v *validator) calls(key, text string, secret bool) {
	v.url(key, text, "https", "http")
	u, err := url.Parse(text)
	if err == nil && u.Scheme == "http" && !loopback(u.Hostname()) && secret {
		v.bad(key, "would send a secret, or what only its receiver should read, in the clear: use https")
	}
}

// named is the secret in the variable that a key names.
func (v *validator) named(key, name string, env Getenv) string {
	if name == "" || v.beside {
		return ""
	}
	value, err := secret(name, env)
	switch {
	case err != nil:
		v.missing(name, "%s", err)
	case value == "":
		v.missing(name, "is not set, nor is %s_FILE; %s names it", name, key)
	}
	return value
}
