package doclient_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

const (
	readToken  = "dop_v1_0123456789abcdef0123456789abcdef"
	writeToken = "dop_v1_fedcba9876543210fedcba9876543210"
	web1       = 3164444
)

// world is a simulated account with one tagged droplet, and both clients.
type world struct {
	*dosim.Sim
	reader   *doclient.Reader
	executor *doclient.Executor
}

// newWorld builds a world; unkind unless the caller says Kind.
func newWorld(t *testing.T, sim dosim.Options, change ...func(*doclient.Options)) world {
	t.Helper()
	w := world{Sim: dosim.New(sim)}
	w.AddToken(readToken, dosim.ReaderScopes...)
	w.AddToken(writeToken, dosim.ExecutorScopes...)
	w.AddDroplet(dosim.Droplet{ID: web1, Name: "web-1", Tags: []string{"celery"}, MemoryMiB: 1024})
	w.reader, w.executor = w.clients(t, change...)
	t.Cleanup(func() {
		for _, e := range w.Unmodelled() {
			t.Errorf("dosim does not model a request of ours: %s", e.Detail)
		}
	})
	return w
}

func (w world) clients(t *testing.T, change ...func(*doclient.Options)) (*doclient.Reader, *doclient.Executor) {
	t.Helper()
	opts := doclient.Options{Token: doclient.StaticToken(readToken), Transport: w.Transport()}
	for _, c := range change {
		c(&opts)
	}
	r, err := doclient.NewReader(opts)
	if err != nil {
		t.Fatal(err)
	}
	opts.Token = doclient.StaticToken(writeToken)
	x, err := doclient.NewExecutor(opts)
	if err != nil {
		t.Fatal(err)
	}
	return r, x
}

// bubble runs a test on virtual time with a context that ends after an hour of it.
func bubble(t *testing.T, f func(t *testing.T, ctx context.Context)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		f(t, ctx)
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func posts(w world) int { return len(w.Requests("POST", "/")) }
