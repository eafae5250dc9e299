package bot

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/shell"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/doclient"
)

// Pull is a source that is pulled beside DigitalOcean, as the operator wrote
// it.
type Pull struct {
	Type          string // prometheus, exporter, ssh, influxdb
	Name          string
	URL           string
	Access        source.Access
	Shell         shell.Options // of type ssh
	Every         time.Duration
	Backfill      time.Duration
	Queries       []string
	Database      string // influxdb only
	Droplet       string // id, name or address; "": found by labels
	DropletLabels []string
	Worker        string
	WorkerLabels  []string
	Group         *regexp.Regexp // of process-exporter's groups; nil: the usual
}

// assembleFeeds makes the sources that are pulled.
func (s *Service) assembleFeeds() error {
	for _, p := range s.d.Pulls {
		fetch, err := s.fetcher(p)
		if err != nil {
			return fmt.Errorf("assemble source %s: %w", p.Name, err)
		}
		o := source.FeedOptions{Name: p.Name, Fetch: fetch, Every: p.Every, Droplet: p.Droplet, Labels: p.DropletLabels, Worker: p.Worker,
			Translate: hub.MappingsBy(p.WorkerLabels, p.Group).Translate, Locate: s.locate, Sink: s.history, State: s.d.Store,
			Scale: s.d.Scale, Log: s.log}
		s.feeds = append(s.feeds, source.NewFeed(o))
	}
	return nil
}

func (s *Service) fetcher(p Pull) (source.Fetcher, error) {
	if p.Type == "ssh" {
		host, _, err := net.SplitHostPort(p.Shell.Address)
		if err != nil {
			return nil, err
		}
		d := shell.NewDroplet(p.Shell)
		s.shells = append(s.shells, shellOf{name: p.Name, place: cmp.Or(p.Droplet, host), droplet: d})
		return source.NewSSH(d, host), nil
	}
	client, err := p.Access.Client(p.URL)
	if err != nil {
		return nil, err
	}
	switch p.Type {
	case "exporter":
		return source.NewExporter(p.URL, client)
	case "influxdb":
		return source.NewInflux(source.InfluxOptions{Name: p.Name, URL: p.URL, Client: client, Database: p.Database, Queries: p.Queries,
			Backfill: s.d.Scale.Real(p.Backfill), WorkerTags: p.WorkerLabels, DropletTags: p.DropletLabels, Cursors: s.d.Store})
	}
	return source.NewPrometheus(source.PrometheusOptions{Name: p.Name, URL: p.URL, Client: client, Queries: p.Queries,
		Backfill: s.d.Scale.Real(p.Backfill), Step: s.d.Scale.Real(time.Minute), Cursors: s.d.Store})
}

// shellOf is a droplet that is reached over SSH.
type shellOf struct {
	name    string // of the source
	place   string // id, name or address
	droplet *shell.Droplet
}

// far finds the droplet over SSH.
func (s *Service) far(ctx context.Context, id int64) (restart.Far, error) {
	for _, x := range s.shells {
		found, err := s.locate(ctx, x.place)
		if err != nil {
			return nil, fmt.Errorf("find the droplet of source %s: %w", x.name, err)
		}
		if found == strconv.FormatInt(id, 10) {
			return x.droplet, nil
		}
	}
	return nil, fmt.Errorf("no source of type ssh is about droplet %d", id)
}

// looker looks at a worker the way it would be restarted.
type looker struct {
	s     *Service
	agent restart.Agent
	shell restart.Shell
}

// over reports whether it is looked at over SSH: where it is restarted over
// it, and where the whole droplet is that SSH reaches.
func (l looker) over(ctx context.Context, t restart.Target) bool {
	if !t.Way.WholeDroplet() || len(l.s.shells) == 0 {
		return t.Way == restart.SSH
	}
	_, err := l.s.far(ctx, t.DropletID)
	return err == nil
}

// Inspect implements [remedy.Looker].
func (l looker) Inspect(ctx context.Context, t restart.Target, look string) (order.Facts, error) {
	if l.over(ctx, t) {
		return l.shell.Inspect(ctx, t, look)
	}
	return l.agent.Inspect(ctx, t, look)
}

// Evidence implements [remedy.Looker].
func (l looker) Evidence(ctx context.Context, t restart.Target) (order.Findings, error) {
	if l.over(ctx, t) {
		return l.shell.Evidence(ctx, t)
	}
	return l.agent.Evidence(ctx, t)
}

// locate finds the one droplet of ours that a name means: its id, name, the
// first part of its name, or an address.
func (s *Service) locate(ctx context.Context, name string) (string, error) {
	fleet, err := s.source.Fleet(ctx)
	if err != nil {
		return "", err
	}
	return located(fleet.Droplets, name), nil
}

// located returns "" where no droplet, or more than one, is meant.
func located(droplets []doclient.Droplet, name string) string {
	short, _, _ := strings.Cut(name, ".")
	for _, is := range []func(doclient.Droplet) bool{
		func(d doclient.Droplet) bool { return strconv.FormatInt(d.ID, 10) == name },
		func(d doclient.Droplet) bool { return name != "" && strings.EqualFold(d.Name, name) },
		func(d doclient.Droplet) bool { return slices.Contains(d.Addresses, name) },
		func(d doclient.Droplet) bool {
			own, _, _ := strings.Cut(d.Name, ".")
			return short != "" && strings.EqualFold(own, short)
		},
	} {
		var found []int64
		for _, d := range droplets {
			if is(d) {
				found = append(found, d.ID)
			}
		}
		if len(found) == 1 {
			return strconv.FormatInt(found[0], 10)
		}
	}
	return ""
}

// locateIn finds the droplet of what a sender calls an instance: HOST:PORT or
// a host alone. Whether it carries the sender's tag is asked afterwards.
func (s *Service) locateIn(ctx context.Context, _, instance string) (string, error) {
	if id, err := s.locate(ctx, instance); id != "" || err != nil {
		return id, err
	}
	host, _, _ := strings.Cut(instance, ":")
	return s.locate(ctx, host)
}
