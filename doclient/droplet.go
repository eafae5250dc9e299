package doclient

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/digitalocean/godo"
)

// Droplet is a droplet as its list shows it.
type Droplet struct {
	ID         int64
	Name       string
	Status     string // "new", "active", "off" or "archive"
	Region     string // slug
	Tags       []string
	MemoryPlan int64 // bytes the plan names; the kernel sees 2 to 5 % less, so no denominator
	DiskGiB    int
	VCPUs      int
	Features   []string
	CreatedAt  time.Time // zero when the API gave none that can be read
	Addresses  []string  // IP addresses, public and private

	// Locked is DigitalOcean's flag. It is said to mean an action under way and
	// is known not to, so look at [Reader.Busy] instead.
	Locked bool
}

// Monitored says whether the droplet was created with the metrics agent. One
// installed by hand later does not show here.
func (d Droplet) Monitored() bool { return slices.Contains(d.Features, "monitoring") }

// Tagged says whether the droplet carries the tag.
func (d Droplet) Tagged(tag string) bool { return slices.Contains(d.Tags, tag) }

// Reader reads. It is safe for concurrent use.
type Reader struct {
	*client
	totals totals
}

// NewReader returns a Reader with a token of [ReaderScopes]. It sends nothing.
func NewReader(opts Options) (*Reader, error) {
	c, err := newClient(opts)
	if err != nil {
		return nil, err
	}
	return &Reader{client: c, totals: totals{known: map[int64]total{}}}, nil
}

// legalTag is what DigitalOcean takes for a tag; godo puts it into the URL as it is.
var legalTag = regexp.MustCompile(`^[A-Za-z0-9:_-]{1,255}$`)

// Droplets returns the droplets that carry the tag, or all with tag "", ordered
// by id. GPU droplets, which the API lists only when asked for, are among them;
// a list costs one request per 200 droplets and one for those.
func (r *Reader) Droplets(ctx context.Context, tag string) ([]Droplet, error) {
	op := "list droplets"
	if tag != "" {
		op = fmt.Sprintf("list droplets tagged %s", tag)
		if !legalTag.MatchString(tag) {
			return nil, fmt.Errorf("list droplets tagged %q: a tag has only letters, digits, %q, %q and %q", tag, ":", "-", "_")
		}
	}
	plain, err := pages(op, []string{"droplet:read"}, func(opt *godo.ListOptions) ([]godo.Droplet, *godo.Response, error) {
		if tag == "" {
			return r.api.Droplets.List(ctx, opt)
		}
		return r.api.Droplets.ListByTag(ctx, tag, opt)
	})
	if err != nil {
		return nil, err
	}
	gpus, err := pages(op, []string{"droplet:read"}, func(opt *godo.ListOptions) ([]godo.Droplet, *godo.Response, error) {
		return r.api.Droplets.ListWithGPUs(ctx, opt)
	})
	if err != nil {
		return nil, err
	}
	seen := map[int64]Droplet{} // a list that changes between two pages repeats entries
	for _, d := range append(plain, gpus...) {
		if own := dropletOf(d); tag == "" || own.Tagged(tag) {
			seen[own.ID] = own
		}
	}
	return byID(seen), nil
}

func byID(m map[int64]Droplet) []Droplet {
	out := make([]Droplet, 0, len(m))
	for _, d := range m {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Droplet) int { return int(max(min(a.ID-b.ID, 1), -1)) })
	return out
}

// Droplet returns one droplet.
func (r *Reader) Droplet(ctx context.Context, id int64) (Droplet, error) {
	d, _, err := r.api.Droplets.Get(ctx, int(id))
	if err := explain(fmt.Sprintf("read droplet %d", id), []string{"droplet:read"}, err); err != nil {
		return Droplet{}, err
	}
	if d == nil {
		return Droplet{}, fmt.Errorf("read droplet %d: answer holds no droplet", id)
	}
	return dropletOf(*d), nil
}

func dropletOf(d godo.Droplet) Droplet {
	own := Droplet{
		ID: int64(d.ID), Name: d.Name, Status: d.Status, Tags: d.Tags, MemoryPlan: int64(d.Memory) << 20,
		DiskGiB: d.Disk, VCPUs: d.Vcpus, Features: d.Features, CreatedAt: moment(d.Created), Locked: d.Locked,
	}
	if d.Region != nil {
		own.Region = d.Region.Slug
	}
	if d.Networks != nil {
		for _, n := range d.Networks.V4 {
			own.Addresses = append(own.Addresses, n.IPAddress)
		}
		for _, n := range d.Networks.V6 {
			own.Addresses = append(own.Addresses, n.IPAddress)
		}
	}
	return own
}

// moment reads a time of the API, zero when it is none.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// maxPages ends a list whose links never do: 200,000 entries.
const maxPages = 1000

// pages reads a list to its end by its links, 200 entries at a time. The meta
// total is not used: not every list of the library fills it.
func pages[T any](op string, scopes []string, fetch func(*godo.ListOptions) ([]T, *godo.Response, error)) ([]T, error) {
	var all []T
	err := eachPage(op, scopes, fetch, func(page []T) bool {
		all = append(all, page...)
		return true
	})
	return all, err
}

// eachPage hands the pages of a list to more until it returns false.
func eachPage[T any](op string, scopes []string, fetch func(*godo.ListOptions) ([]T, *godo.Response, error), more func([]T) bool) error {
	for page := 1; page <= maxPages; page++ {
		items, resp, err := fetch(&godo.ListOptions{Page: page, PerPage: 200})
		if err := explain(op, scopes, err); err != nil {
			return err
		}
		if !more(items) || resp.Links == nil || resp.Links.IsLastPage() {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", op, errors.New("the list has no end"))
}
