package dosim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong with requests. Which ones: Method, Path,
// Skip and Times. What: at most one of Drop and Status, and Delay with either.
// A Fault with only a Delay slows an otherwise ordinary answer.
type Fault struct {
	Method string // of the requests it hits; "" means any
	Path   string // prefix of their path; "" means any
	Skip   int    // that many matching requests pass unharmed first
	Times  int    // then it hits that many; 0 means until cleared

	// Act says that the request did its work before things went wrong: the
	// action started, the snapshot is deleted, only the answer is lost.
	Act bool

	Drop   bool // the connection breaks without an answer
	Status int  // this status is answered instead, with its documented body

	// Delay holds the answer, or the breaking of the connection, that long. The
	// work, if any, is done on arrival.
	Delay time.Duration

	RetryAfter time.Duration // sent with Status, rounded up to seconds
	HTML       bool          // the body is a gateway's HTML page
}

// Common faults, for [Sim.Inject]; set Method, Path, Skip and Times as needed.
var (
	// DropBefore loses the connection before the request did anything.
	DropBefore = Fault{Drop: true}
	// DropAfter loses the connection after the request did its work.
	DropAfter = Fault{Drop: true, Act: true}
	// BadGateway is a 502 with an HTML body in front of an untouched API.
	BadGateway = Fault{Status: http.StatusBadGateway, HTML: true}
	// ErrorAfter is a 500 although the request did its work.
	ErrorAfter = Fault{Status: http.StatusInternalServerError, Act: true}
	// Burst is the refusal of the limit per minute, with 20 s to wait.
	Burst = Fault{Status: http.StatusTooManyRequests, RetryAfter: 20 * time.Second}
)

// On returns the fault narrowed to a method and a path prefix.
func (f Fault) On(method, path string) Fault {
	f.Method, f.Path = method, path
	return f
}

// Once returns the fault limited to the next request it matches.
func (f Fault) Once() Fault {
	f.Times = 1
	return f
}

type armed struct {
	Fault
	left int // -1: until cleared
}

// Inject switches a fault on and returns how to switch it off. Of several that
// match a request the one injected first hits.
func (s *Sim) Inject(f Fault) (clear func()) {
	a := &armed{Fault: f, left: f.Times}
	if f.Times == 0 {
		a.left = -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, a)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(x *armed) bool { return x == a })
	}
}

// fault takes the fault that hits this request, or none. Callers hold s.mu.
func (s *Sim) fault(r *http.Request) Fault {
	for _, a := range s.faults {
		if a.left == 0 || (a.Method != "" && a.Method != r.Method) || !strings.HasPrefix(r.URL.Path, a.Path) {
			continue
		}
		if a.Skip > 0 {
			a.Skip--
			continue
		}
		if a.left > 0 {
			a.left--
		}
		return a.Fault
	}
	return Fault{}
}

// replaces says whether the ordinary answer is lost.
func (f Fault) replaces() bool { return f.Drop || f.Status != 0 }

var faultIDs = map[int][2]string{
	http.StatusUnauthorized:        {"unauthorized", "Unable to authenticate you."},
	http.StatusForbidden:           {"forbidden", "You are not authorized to perform this operation"},
	http.StatusNotFound:            {"not_found", "The resource you requested could not be found."},
	http.StatusUnprocessableEntity: {"unprocessable_entity", "request payload validation failed"},
	http.StatusTooManyRequests:     {"too_many_requests", "API Rate limit exceeded."},
}

func (f Fault) reply(acted string) reply {
	rep := refuse(f.Status, "server_error", "Unexpected server-side error")
	if known, ok := faultIDs[f.Status]; ok {
		rep = refuse(f.Status, known[0], known[1])
	}
	if f.HTML {
		rep.raw = "<html><head><title>" + http.StatusText(f.Status) + "</title></head><body><center><h1>" +
			http.StatusText(f.Status) + "</h1></center><hr><center>cloud gateway</center>" +
			strings.Repeat("<!-- padding to disable a browser's friendly error page -->", 20) + "</body></html>"
	}
	rep.retryAfter, rep.detail = f.RetryAfter, "fault, "+acted
	if f.Drop {
		rep.detail = "connection dropped, " + acted
	}
	return rep
}
