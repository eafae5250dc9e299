package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/alert"
	"github.com/dropleak/dropleak/bot/shell"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/configs"
	"github.com/dropleak/dropleak/doclient"
)

// question is asked of the outside, and answered in a few words.
type question struct {
	name   string
	of     string           // whom it is asked of, where others are asked the same; who does not answer one is asked no more
	within time.Duration    // of the first one that is asked of somebody; 0: answerWithin
	mute   func(error) bool // whether that is no answer at all; nil: as unanswered says
	ask    func(context.Context) (string, error)
}

const (
	answerWithin = time.Minute      // more than an upload takes until it is ready
	firstWithin  = 15 * time.Second // for whoever may not answer at all, tries included
)

// ask tells the answer to each question, a line each; exit 1 when one is bad.
func ask(ctx context.Context, out io.Writer, ps []question) error {
	bad, mute := 0, map[string]bool{}
	for _, p := range ps {
		if mute[p.of] {
			bad++
			fmt.Fprintf(out, "FAIL  %s: not asked, for %s did not answer%s\n", p.name, p.of, reachable[p.of])
			continue
		}
		within, cancel := context.WithTimeout(ctx, cmp.Or(p.within, answerWithin))
		said, err := p.ask(within)
		cancel()
		if ctx.Err() != nil {
			return exitError{code: interrupted, err: errors.New("interrupted")}
		}
		if err != nil {
			bad++
			mute[p.of] = p.of != "" && p.silent(err)
			fmt.Fprintf(out, "FAIL  %s: %s\n", p.name, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		fmt.Fprintf(out, "ok    %s: %s\n", p.name, said)
	}
	if bad > 0 {
		return exitError{code: 1}
	}
	return nil
}

// Whom the questions are asked of.
const (
	ofSlack        = "Slack"
	ofDigitalOcean = "DigitalOcean"
)

// reachable says what to look at of who did not answer.
var reachable = map[string]string{ofSlack: ": see whether this machine reaches slack.api_url", ofDigitalOcean: ": see whether this machine reaches digitalocean.api_url"}

// silent reports whether whoever was asked need not be asked anything more.
func (p question) silent(err error) bool {
	if p.mute != nil {
		return p.mute(err)
	}
	return unanswered(err) || p.within > 0 && errors.Is(err, context.DeadlineExceeded)
}

// unlisted is why not even the droplets could be listed, where nobody answered.
type unlisted struct{ error }

func (u unlisted) Unwrap() error { return u.error }

// unanswered reports whether nobody answered a question, which says nothing of
// the token that it was asked with.
func unanswered(err error) bool {
	if said, ok := errors.AsType[*slackapp.Error](err); ok {
		return said.Code == "" && said.Status == 0
	}
	_, far := errors.AsType[*url.Error](err)
	return far
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// rings are trial alerts to every endpoint.
func rings(c configs.Config) (qs []question) {
	for _, e := range endpoints(c) {
		qs = append(qs, question{name: "alerts to " + e.Name(), ask: func(ctx context.Context) (string, error) { return ring(ctx, e) }})
	}
	return qs
}

// ring calls an endpoint and takes it back at once.
func ring(ctx context.Context, e alert.Endpoint) (string, error) {
	now := time.Now()
	d := alert.Due{Endpoint: e.Name(), Firing: true, Changed: now, Version: now.UnixNano(), Alert: alert.Alert{Key: "check/" + rand.Text()[:8], Kind: alert.Trial,
		Severity: alert.Warning, Title: "dropleak check: this only tries whether alerts arrive", Since: now}}
	if err := e.Send(ctx, d); err != nil {
		return "", err
	}
	d.Firing, d.Changed, d.Version = false, time.Now(), d.Version+1
	return "took a trial alert, and its end", e.Send(ctx, d)
}

// questions ask everything the service will speak to. DigitalOcean gets the time
// given for its first answer.
func questions(c configs.Config, first time.Duration) []question {
	ps := []question{
		{name: "store", ask: func(ctx context.Context) (string, error) { return askStore(ctx, c) }},
		{name: "DigitalOcean reader", of: ofDigitalOcean, ask: func(ctx context.Context) (string, error) { return askReader(ctx, c, first, quiet()) },
			mute: func(err error) bool { _, none := errors.AsType[unlisted](err); return none }},
	}
	if c.Secrets.ExecutorToken != "" {
		ps = append(ps, question{name: "DigitalOcean executor", of: ofDigitalOcean, within: first, ask: func(ctx context.Context) (string, error) {
			x, err := doclient.NewExecutor(cloudOptions(c, c.Secrets.ExecutorToken, quiet()))
			if err != nil {
				return "", err
			}
			if _, err := x.Droplets(ctx, c.DigitalOcean.Tag); err != nil {
				return "", err
			}
			return "its token reads; that it may snapshot and reboot shows only when it does", nil
		}})
	}
	for _, src := range c.Sources {
		if src.Type == "ssh" {
			ps = append(ps, question{name: "SSH source " + src.Name, ask: func(ctx context.Context) (string, error) { return askSSH(ctx, src) }})
		}
	}
	return append(ps, slackQuestions(c, quiet())...)
}

// askSSH takes one pass and says what is seen and what is not.
func askSSH(ctx context.Context, src configs.Source) (string, error) {
	d := shell.NewDroplet(src.Shell())
	defer d.Close()
	r, _, err := d.Look(ctx)
	if err != nil {
		return "", err
	}
	said := fmt.Sprintf("%s answers; %d Celery workers of %d processes", d.Host(), len(r.Nodes), len(r.Pass.Processes))
	for _, n := range r.Notes {
		said += "; " + n
	}
	return printable(said), nil
}

// askStore opens the store. One that is not there yet is not made: whoever
// asks may be another user than the service, who could not write it then.
func askStore(ctx context.Context, c configs.Config) (string, error) {
	st, err := store.Open(ctx, c.StoreDSN(), store.Options{Beside: true, Existing: true})
	if errors.Is(err, store.ErrNone) {
		return "sqlite, made at the first start", store.CanMake(c.StoreDSN())
	}
	if errors.Is(err, store.ErrOlder) { // as it is between putting in a new version and its start
		return "tables of an older version; the service brings them up to date at its start", nil
	}
	if err != nil {
		return "", err
	}
	return string(st.Engine()), errors.Join(st.Ping(ctx), st.Close())
}

func askReader(ctx context.Context, c configs.Config, list time.Duration, log *slog.Logger) (string, error) {
	r, err := doclient.NewReader(cloudOptions(c, c.Secrets.ReaderToken, log))
	if err != nil {
		return "", err
	}
	first, cancel := context.WithTimeout(ctx, list) // what comes then takes as long as there are droplets
	droplets, err := r.Droplets(first, c.DigitalOcean.Tag)
	cancel()
	if unanswered(err) || errors.Is(err, context.DeadlineExceeded) {
		return "", unlisted{err}
	}
	if err != nil {
		return "", err
	}
	if len(droplets) == 0 {
		return "", fmt.Errorf("no droplet carries the tag %s; tag those that dropleak shall watch", c.DigitalOcean.Tag)
	}
	now := time.Now()
	missing := 0
	for _, d := range droplets {
		_, err := r.Memory(ctx, d.ID, now.Add(-15*time.Minute), now)
		if errors.Is(err, doclient.ErrNoData) {
			missing++
		} else if err != nil {
			return "", err
		}
	}
	noun := "droplets"
	if len(droplets) == 1 {
		noun = "droplet"
	}
	said := fmt.Sprintf("%d %s tagged %s", len(droplets), noun, c.DigitalOcean.Tag)
	if missing > 0 {
		said += fmt.Sprintf("; %d of them without the metrics agent", missing)
	}
	return said, nil
}

// deaf takes nothing in.
type deaf struct{}

func (deaf) Receive(context.Context, slackapp.Envelope) (slackapp.Ack, error) {
	return slackapp.Ack{}, errors.New("this is only a check")
}
