package hub

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector/sample"
	"golang.org/x/time/rate"
)

// intake is one wire format that samples come in.
type intake struct {
	source  string                                        // what history calls what senders bring this way
	message func(r *http.Request) (msg string, err error) // which message the headers announce
	unpack  func(h *Hub, t Token, msg string, body []byte) ([]sample.Series, error)
}

// serveWrite takes a remote write. 204: committed.
func (h *Hub) serveWrite(w http.ResponseWriter, r *http.Request) {
	written, err := h.write(w, r, remoteWrite)
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

// SenderSources are the labels of what senders bring, one for each way.
var SenderSources = []string{remoteWrite.source, collectd.source}

// SourceOf is what history calls the sender whose token has a name, by the way
// that its samples come.
func SourceOf(way, name string) string { return way + "/" + name }

// owner is who brings samples in some way.
func (t Token) owner(way string) history.Owner {
	if t.Kind != Sender {
		return history.Owner{ID: t.ID}
	}
	return history.Owner{ID: t.ID, Source: SourceOf(way, t.Name)}
}

var remoteWrite = intake{source: "sender", message: message, unpack: (*Hub).unpack}

// write stores a request's samples and returns how many, -1 before it is
// known that any could be.
func (h *Hub) write(w http.ResponseWriter, r *http.Request, in intake) (written int, err error) {
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
	if !h.rates.write(t.ID) {
		return -1, t.wait("this token writes too often", time.Second)
	}
	msg, err := in.message(r)
	if err != nil {
		return -1, err
	}
	body, err := h.read(w, r)
	if err != nil {
		return -1, err
	}
	if err := h.begin(r); err != nil {
		return -1, err
	}
	defer func() { <-h.work }()
	series, err := in.unpack(h, t, msg, body)
	if err != nil {
		return -1, err
	}
	return h.take(r, t, in.source, series)
}

// turnWithin is how long a write waits for its turn before it is told to come
// again: less than any sender's own patience.
const turnWithin = 5 * time.Second

// begin waits for its turn to unpack and store: what is small on the wire may
// be large in memory, so only so many are at it at once.
func (h *Hub) begin(r *http.Request) error {
	over := time.NewTimer(turnWithin)
	defer over.Stop()
	select {
	case h.work <- struct{}{}:
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	case <-over.C:
		return &refusal{http.StatusServiceUnavailable, "the store is behind with writes", 5 * time.Second}
	}
}

// take stores what was unpacked and returns how many samples of it were
// stored, which are some beside an error when a limit cut the rest off.
func (h *Hub) take(r *http.Request, t Token, source string, series []sample.Series) (written int, err error) {
	now := time.Now()
	newest := newestOf(series)
	if ahead := newest.Sub(now); ahead > h.o.MaxAhead {
		return 0, refuse(http.StatusBadRequest, "a sample is %s ahead of %s: set the clock", ahead.Round(time.Second), now.UTC().Format(time.RFC3339))
	}
	if err := h.identify(r, t, bootOf(series), true); err != nil {
		return 0, err
	}
	if series, err = h.believe(r.Context(), t, source, series); err != nil {
		return 0, err
	}
	if wait, ok := h.rates.store(t.ID, countPoints(series)); !ok {
		return 0, t.wait("this token sends too many samples", wait)
	}
	if written, err = h.commit(r, t.owner(source), series); err != nil {
		return written, err
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
	return written, nil
}

// read reads a request's body.
func (h *Hub) read(w http.ResponseWriter, r *http.Request) (body []byte, err error) {
	// A body that trickles in holds one of few places. Where the connection
	// cannot be told, as in tests without one, it has no end of its own.
	conn := http.NewResponseController(w)
	bounded := conn.SetReadDeadline(time.Now().Add(h.o.ReadWithin)) == nil
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, h.o.MaxBody))
	if bounded && err == nil {
		// Else it stays: the server waits for what is left of the body.
		err = conn.SetReadDeadline(time.Time{})
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &refusal{http.StatusServiceUnavailable, fmt.Sprintf("the body took more than %s", h.o.ReadWithin), 5 * time.Second}
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the body ended early")
	}
	return body, nil
}

// unpack makes series of a body.
func (h *Hub) unpack(_ Token, msg string, body []byte) ([]sample.Series, error) {
	body, err := uncompress(body, h.o.MaxDecoded)
	if err != nil {
		return nil, err
	}
	return decode(msg, body, h.o.MaxItems)
}

// commit stores what is believed and returns how many samples were stored.
// Only part of it being stored is a refusal too: the sender should drop the
// request and somebody should look.
func (h *Hub) commit(r *http.Request, owner history.Owner, series []sample.Series) (written int, err error) {
	if len(series) == 0 {
		return 0, nil
	}
	err = h.writer.WriteAs(r.Context(), owner, series)
	var limit *history.LimitError
	switch {
	case errors.As(err, &limit):
		h.o.Log.Warn("series refused", "token", owner.ID, "refused", limit.Refused, "limit", limit.Limit)
		return limit.Stored, refuse(http.StatusBadRequest, "a token may create %d series: %d of this request were not stored, the others were",
			limit.Limit, limit.Refused)
	case errors.Is(err, history.ErrBadSeries):
		return 0, refuse(http.StatusBadRequest, "%v; nothing was stored", err)
	case err != nil:
		return 0, err
	}
	return countPoints(series), nil
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

// rates keeps two limiters for each token. There are as many as good tokens:
// only these get here.
type rates struct {
	writes, points float64 // a second
	burst          int     // of points
	mu             sync.Mutex
	by             map[string]*limits
}

type limits struct{ writes, points *rate.Limiter }

func (r *rates) of(token string) *limits {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[string]*limits{}
	}
	l := r.by[token]
	if l == nil {
		l = &limits{rate.NewLimiter(rate.Limit(r.writes), int(5*r.writes)+1), rate.NewLimiter(rate.Limit(r.points), r.burst)}
		r.by[token] = l
	}
	return l
}

// write counts one write.
func (r *rates) write(token string) bool { return r.of(token).writes.Allow() }

// store counts n samples, or says how long they must wait.
func (r *rates) store(token string, n int) (wait time.Duration, ok bool) {
	l := r.of(token).points
	kept := l.ReserveN(time.Now(), min(n, r.burst)) // more at once must come in parts; they pay for a whole burst
	if wait = kept.Delay(); wait == 0 {
		return 0, true
	}
	kept.Cancel()
	return max(wait, time.Second).Round(time.Second), false
}

// wait tells a token to come again. Prometheus drops what is answered with
// 429 unless it is configured otherwise, and keeps what is answered with 503.
func (t Token) wait(why string, d time.Duration) error {
	if t.Kind == Sender {
		return &refusal{http.StatusServiceUnavailable, why, d}
	}
	return &refusal{http.StatusTooManyRequests, why, d}
}
