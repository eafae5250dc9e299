package hub

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector/sample"
	"golang.org/x/time/rate"
)

// serveWrite takes a remote write. 204: committed.
func (h *Hub) serveWrite(w http.ResponseWriter, r *http.Request) {
	written, err := h.write(w, r)
	if written >= 0 {
		// Remote write 2.0: without these a sender takes us for 1.0.
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", fmt.Sprint(written))
		w.Header().Set("X-Prometheus-Remote-Write-Histograms-Written", "0")
		w.Header().Set("X-Prometheus-Remote-Write-Exemplars-Written", "0")
	}
	if err != nil {
		h.answer(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// write stores a request's samples and returns how many, -1 before it is
// known that any could be.
func (h *Hub) write(w http.ResponseWriter, r *http.Request) (written int, err error) {
	t, err := h.bearer(r)
	if err != nil {
		return -1, err
	}
	select {
	case h.busy <- struct{}{}:
		defer func() { <-h.busy }()
	default:
		return -1, &refusal{http.StatusServiceUnavailable, "too many writes at once", 5 * time.Second}
	}
	if !h.rates.allow(t.ID) {
		return -1, &refusal{http.StatusTooManyRequests, "this token writes too often", time.Second}
	}
	series, err := h.read(w, r)
	if err != nil {
		return -1, err
	}
	now := time.Now()
	newest := newestOf(series)
	if ahead := newest.Sub(now); ahead > h.o.MaxAhead {
		return 0, refuse(http.StatusBadRequest, "a sample is %s ahead of %s: set the clock", ahead.Round(time.Second), now.UTC().Format(time.RFC3339))
	}
	if err := h.identify(r, t, bootOf(series), true); err != nil {
		return 0, err
	}
	if series, err = h.believe(r.Context(), t, series); err != nil {
		return 0, err
	}
	if err := h.commit(r, t, series); err != nil {
		return 0, err
	}
	seen := Seen{At: now.UTC()}
	if !newest.IsZero() {
		seen.Ahead = newest.Sub(now)
	}
	if err := h.store.TouchToken(r.Context(), t.ID, seen); err != nil {
		// The samples are committed; a lost "last seen" is no reason to have
		// them sent again.
		h.o.Log.Error("token's last use not kept", "token", t.ID, "err", err)
	}
	return countPoints(series), nil
}

// read reads and decodes a request's body.
func (h *Hub) read(w http.ResponseWriter, r *http.Request) ([]sample.Series, error) {
	msg, err := message(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.o.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", large.Limit)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the body ended early")
	}
	if body, err = uncompress(body, h.o.MaxDecoded); err != nil {
		return nil, err
	}
	return decode(msg, body)
}

// commit stores what is believed. Only part of it being stored is a refusal
// too: the sender should drop the request and somebody should look.
func (h *Hub) commit(r *http.Request, t Token, series []sample.Series) error {
	if len(series) == 0 {
		return nil
	}
	err := h.writer.WriteAs(r.Context(), t.ID, series)
	var limit *history.LimitError
	switch {
	case errors.As(err, &limit):
		h.o.Log.Warn("series refused", "token", t.ID, "refused", limit.Refused, "limit", limit.Limit)
		return refuse(http.StatusBadRequest, "a token may create %d series: %d of this request were not stored, the others were",
			limit.Limit, limit.Refused)
	case errors.Is(err, history.ErrBadSeries):
		return refuse(http.StatusBadRequest, "%v; nothing was stored", err)
	}
	return err
}

func newestOf(series []sample.Series) time.Time {
	newest := int64(0)
	for _, s := range series {
		for _, p := range s.Points {
			newest = max(newest, p.At)
		}
	}
	if newest == 0 {
		return time.Time{}
	}
	return time.UnixMilli(newest)
}

func countPoints(series []sample.Series) (n int) {
	for _, s := range series {
		n += len(s.Points)
	}
	return n
}

// bootOf returns when the sender's droplet booted, if it says so.
func bootOf(series []sample.Series) time.Time {
	passes, _ := sample.Decode(slices.DeleteFunc(slices.Clone(series), func(s sample.Series) bool {
		return !strings.HasPrefix(s.Name(), "dropleak_droplet_boot_time")
	}))
	for _, p := range slices.Backward(passes) {
		if p.Droplet != nil && !p.Droplet.Boot.IsZero() {
			return p.Droplet.Boot
		}
	}
	return time.Time{}
}

// rates keeps a limiter for each token. There are as many as good tokens:
// only these get here.
type rates struct {
	perSecond float64
	mu        sync.Mutex
	by        map[string]*rate.Limiter
}

func (r *rates) allow(token string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[string]*rate.Limiter{}
	}
	l := r.by[token]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(r.perSecond), int(5*r.perSecond)+1)
		r.by[token] = l
	}
	return l.Allow()
}
