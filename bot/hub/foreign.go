package hub

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector/sample"
)

// Mapping translates a foreign series into one of ours.
type Mapping struct {
	Metric string            // the foreign name
	Where  map[string]string // labels it must have
	Name   string            // our name
	Kind   string            // of process memory: rss, pss, uss or swap; else ""
	Worker []string          // labels that may name the worker, first found wins; none for droplet series
	// Pattern, if set, is matched against the worker's label; its groups
	// "worker" and "pid" tell.
	Pattern *regexp.Regexp
}

// Mappings translate foreign series; the first that fits does.
type Mappings []Mapping

const (
	processMemory = "dropleak_process_memory_bytes"
	processStart  = "dropleak_process_start_time_seconds"
	processCPU    = "dropleak_process_cpu_seconds_total"
)

// DefaultMappings are for the client libraries' own process metrics,
// process-exporter and node-exporter.
func DefaultMappings() Mappings { return MappingsBy(nil, nil) }

// MappingsBy are [DefaultMappings] with the labels that name the worker of a
// client library's process, and the pattern of process-exporter's groups; nil
// for what is usual.
func MappingsBy(worker []string, group *regexp.Regexp) Mappings {
	if len(worker) == 0 {
		worker = []string{"worker", "hostname", "job"}
	}
	if group == nil {
		group = sample.Groupname
	}
	out := Mappings{
		{Metric: "process_resident_memory_bytes", Name: processMemory, Kind: "rss", Worker: worker},
		{Metric: "process_start_time_seconds", Name: processStart, Worker: worker},
		{Metric: "process_cpu_seconds_total", Name: processCPU, Worker: worker},
		{Metric: "namedprocess_namegroup_oldest_start_time_seconds", Name: processStart, Worker: []string{"groupname"}, Pattern: group},
	}
	for theirs, ours := range sample.NodeNames {
		out = append(out, Mapping{Metric: theirs, Name: ours})
	}
	for memtype, kind := range sample.Memtypes {
		out = append(out, Mapping{
			Metric: sample.GroupMemory, Where: map[string]string{"memtype": memtype},
			Name: processMemory, Kind: kind, Worker: []string{"groupname"}, Pattern: group,
		})
	}
	return out
}

// believe turns what a token sent into what is stored: under the droplet it
// may speak of, foreign names translated. What a sender brings is kept under
// the name of source.
func (h *Hub) believe(ctx context.Context, t Token, source string, series []sample.Series) ([]sample.Series, error) {
	out := make([]sample.Series, 0, len(series))
	trust := trust{hub: h, token: t, known: map[string]bool{}, found: map[string]string{}}
	series, others := h.o.Mappings.Translate(series)
	if t.Kind == Agent {
		series = append(series, others...) // it sends what we made it send
	}
	for _, s := range series {
		if t.Kind == Agent {
			// Where else samples come from, only the service itself says.
			s.Labels = with(without(s.Labels, history.LabelSource), "droplet", t.Droplet)
			out = append(out, s)
			continue
		}
		droplet, err := trust.droplet(ctx, s)
		if err != nil {
			return nil, err
		}
		s.Labels = without(without(s.Labels, "instance"), "job")
		s.Labels = with(with(s.Labels, "droplet", droplet), history.LabelSource, source)
		out = append(out, s)
	}
	return out, nil
}

// trust finds out whom a sender may speak of, asking once a droplet.
type trust struct {
	hub   *Hub
	token Token
	known map[string]bool
	found map[string]string // ids by the names that were looked up
}

// droplet returns the droplet a sender's series is about, or a refusal.
func (t *trust) droplet(ctx context.Context, s sample.Series) (string, error) {
	id, err := t.id(ctx, s)
	if err != nil {
		return "", err
	}
	if id == "" {
		return "", refuse(http.StatusBadRequest, "series %s of %q names no droplet; nothing was stored", s.Name(), s.Get("instance"))
	}
	ok, asked := t.known[id]
	if !asked && t.hub.o.InTag != nil {
		var err error
		if ok, err = t.hub.o.InTag(ctx, t.token.Tag, id); err != nil {
			return "", fmt.Errorf("ask for the tags of droplet %s: %w", id, err)
		}
	}
	t.known[id] = ok
	if !ok {
		return "", refuse(http.StatusForbidden, "droplet %q does not carry the tag %q; nothing was stored", id, t.token.Tag)
	}
	return id, nil
}

// id returns the id of the droplet that a series names: by its label, which may
// hold a name or address too, else by its instance; "" for none.
func (t *trust) id(ctx context.Context, s sample.Series) (string, error) {
	name := cmp.Or(s.Get("droplet"), s.Get("instance"))
	if _, err := strconv.ParseInt(s.Get("droplet"), 10, 64); err == nil || t.hub.o.Locate == nil {
		return s.Get("droplet"), nil
	}
	if id, ok := t.found[name]; ok {
		return id, nil
	}
	id, err := t.hub.o.Locate(ctx, t.token.Tag, name)
	if err != nil {
		return "", fmt.Errorf("locate %s: %w", name, err)
	}
	t.found[name] = cmp.Or(id, s.Get("droplet"))
	return t.found[name], nil
}

// Translate returns what of series has one of our names or can be translated
// into one, and the others as they are: a Prometheus that forwards all it has
// would fill the store with them. What exporters tell of processes that are
// gone is left out.
func (ms Mappings) Translate(series []sample.Series) (ours, others []sample.Series) {
	var translated []sample.Series
	for _, s := range series {
		if strings.HasPrefix(s.Name(), "dropleak_") {
			ours = append(ours, s)
		} else if m := slices.IndexFunc(ms, func(m Mapping) bool { return m.Metric == s.Name() && m.fits(s) }); m >= 0 {
			translated = append(translated, ms[m].apply(s))
		} else {
			others = append(others, s)
		}
	}
	return append(ours, sample.Living(translated)...), others
}

func (m Mapping) fits(s sample.Series) bool {
	for name, value := range m.Where {
		if s.Get(name) != value {
			return false
		}
	}
	return true
}

// apply makes one of our series. A process becomes a worker's with its pid,
// which Python's client has as a label where several share a page, or its
// instance as the slot, so that no two of them are one series.
func (m Mapping) apply(s sample.Series) sample.Series {
	labels := []sample.Label{{Name: sample.MetricName, Value: m.Name}, {Name: "instance", Value: s.Get("instance")}}
	droplet := s.Get("droplet")
	if droplet == "" {
		droplet = s.Get("droplet_id")
	}
	labels = with(labels, "droplet", droplet)
	if len(m.Worker) > 0 {
		worker, pid := m.worker(s)
		labels = with(labels, "kind", m.Kind)
		labels = append(labels, sample.Label{Name: "role", Value: "unknown"},
			sample.Label{Name: "worker", Value: worker}, sample.Label{Name: "slot", Value: cmp.Or(pid, s.Get("pid"), s.Get("instance"), "0")})
	}
	return sample.Series{Labels: labels, Points: s.Points}
}

// worker returns what a foreign series calls its worker, and the pid if its
// name tells one.
func (m Mapping) worker(s sample.Series) (worker, pid string) {
	for _, name := range m.Worker {
		if worker = s.Get(name); worker != "" {
			break
		}
	}
	if m.Pattern == nil {
		return worker, ""
	}
	return sample.Grouped(m.Pattern, worker)
}

// with returns labels with one of them set; an empty value is no label.
func with(labels []sample.Label, name, value string) []sample.Label {
	out := without(labels, name)
	if value == "" {
		return out
	}
	return append(out, sample.Label{Name: name, Value: value})
}

func without(labels []sample.Label, name string) []sample.Label {
	out := make([]sample.Label, 0, len(labels)+1)
	for _, l := range labels {
		if l.Name != name {
			out = append(out, l)
		}
	}
	return out
}
