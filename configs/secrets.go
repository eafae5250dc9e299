package configs

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// secrets fills c.Secrets from NAME or the file that NAME_FILE names.
func (v *validator) secrets(env Getenv) {
	s := &v.c.Secrets
	for name, into := range map[string]*string{
		"DIGITALOCEAN_ACCESS_TOKEN":   &s.ReaderToken,
		"DIGITALOCEAN_EXECUTOR_TOKEN": &s.ExecutorToken,
		"SLACK_BOT_TOKEN":             &s.SlackBot,
		"SLACK_APP_TOKEN":             &s.SlackApp,
		"SLACK_SIGNING_SECRET":        &s.SlackSigning,
		"DROPLEAK_STORE_DSN":          &s.StoreDSN,
	} {
		value, err := secret(name, env)
		*into = value
		if err == nil && name != "DROPLEAK_STORE_DSN" {
			err = another(name, value)
		}
		if v.beside && name != "DROPLEAK_STORE_DSN" {
			continue // nobody uses it
		}
		if err != nil {
			v.missing(name, "%s", err)
		}
	}
}

// secret returns the value of NAME, or the trimmed content of the file that
// NAME_FILE names, or nothing. What was pasted with more around it is told
// here: a server would only refuse it. No value is quoted.
func secret(name string, env Getenv) (string, error) {
	value, set := env(name)
	file, _ := env(name + "_FILE")
	from := "is"
	if file != "" {
		text, err := os.ReadFile(file)
		read := strings.TrimSpace(string(text))
		switch {
		case err != nil:
			return value, fmt.Errorf("%s_FILE: %w", name, err)
		case value != "" && read != value:
			return value, fmt.Errorf("is set, and so is %s_FILE, to something else: keep one of them", name)
		case read == "":
			return "", fmt.Errorf("%s_FILE: %s is empty", name, file)
		}
		value, set, from = read, true, fmt.Sprintf("%s_FILE: what %s holds is", name, file)
	}
	switch {
	case !set:
		return "", nil
	case strings.ContainsAny(value, "\r\n"):
		return value, fmt.Errorf("%s of several lines; one is wanted, the secret alone", from)
	case value != strings.TrimSpace(value):
		return value, fmt.Errorf("%s surrounded by blanks", from)
	case len(value) > 1 && strings.ContainsAny(value[:1], `"'`) && value[0] == value[len(value)-1]:
		return value, fmt.Errorf("%s in quotes, which would be part of it", from)
	}
	return value, nil
}

// tokenKinds say by its beginning what a token is.
var tokenKinds = []struct{ begins, is, belongs string }{
	{"xoxb-", "Slack's bot token", "SLACK_BOT_TOKEN"},
	{"xapp-", "Slack's app-level token", "SLACK_APP_TOKEN"},
	{"xoxp-", "a Slack user's token", ""},
	{"dop_v1_", "a DigitalOcean token", "DIGITALOCEAN_"},
}

// another reports a token that is of another kind than its variable takes.
func another(name, value string) error {
	for _, k := range tokenKinds {
		if strings.HasPrefix(value, k.begins) && (k.belongs == "" || !strings.HasPrefix(name, k.belongs)) {
			return fmt.Errorf("begins with %s, which is %s", k.begins, k.is)
		}
	}
	return nil
}

// dsn checks where the store is; the file may not carry the password. That of
// the environment wins, and is not quoted.
func (v *validator) dsn() {
	const variable = "DROPLEAK_STORE_DSN"
	if dsn := v.c.Secrets.StoreDSN; dsn != "" {
		if err := readableDSN(dsn); err != nil {
			v.missing(variable, "%s", err)
		}
	}
	key, dsn := "store.dsn", v.c.Store.DSN
	if dsn == "" {
		return
	}
	if u, err := url.Parse(dsn); err == nil && u.User != nil && hasPassword(u) {
		v.bad(key, "carries a password; put the whole DSN into %s or %s_FILE", variable, variable)
	} else if err := readableDSN(dsn); err != nil {
		v.bad(key, "%s", err)
	}
}

// readableDSN reports what is wrong with a DSN, without repeating it: it may
// hold a password.
func readableDSN(dsn string) error {
	if dir, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		if dir == "" {
			return errors.New("names no directory: sqlite:DIR")
		}
		return nil
	}
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return errors.New("is neither sqlite:DIR nor postgres://…")
	}
	if _, err := url.Parse(dsn); err != nil {
		return errors.New("is no URL: write what is special in the password with %, as %20 for a blank, and the port as a number")
	}
	if _, err := pgx.ParseConfig(dsn); err != nil {
		why := errors.Unwrap(err) // which the whole text quotes the DSN beside
		if why == nil {
			return errors.New("cannot be read as PostgreSQL's")
		}
		return fmt.Errorf("cannot be read as PostgreSQL's: %w", why)
	}
	return nil
}

func hasPassword(u *url.URL) bool {
	_, has := u.User.Password()
	return has
}
