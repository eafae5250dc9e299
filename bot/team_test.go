package bot

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/store"
)

// A Slack that swallows what it is asked holds up a start that knows its
// workspace for less than agents and health checks wait, and not in silence.
func TestTeamOfTheLastStart(t *testing.T) {
	t.Parallel() // it waits for the time to pass
	first, _ := assembled(t)
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	var said bytes.Buffer
	d := first.d
	d.Slack.APIURL, d.Log = "http://"+hole.Addr().String()+"/api/", slog.New(slog.NewTextHandler(&said, nil))
	began := time.Now()
	again, err := New(t.Context(), d)
	if took := time.Since(began); err != nil || again.ours != first.ours || took > 25*time.Second {
		t.Errorf("after %v it is of the workspace %v, %v", took, again, err)
	}
	asking, waited := strings.Index(said.String(), "asking Slack who we are"), strings.Index(said.String(), "going on as the workspace of the last start")
	if asking < 0 || waited < asking {
		t.Errorf("says %s", said.String())
	}
}

// A refused token is named, at the first start and at later ones.
func TestTeamByARefusedToken(t *testing.T) {
	first, _ := assembled(t)
	var said bytes.Buffer
	d := first.d
	d.Slack.BotToken, d.Log = "xoxb-old", slog.New(slog.NewTextHandler(&said, nil))
	if _, err := New(t.Context(), d); err != nil || !strings.Contains(said.String(), "invalid_auth; that is about SLACK_BOT_TOKEN") {
		t.Errorf("a later start: %v, says %s", err, said.String())
	}
	st, err := store.Open(t.Context(), "sqlite:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	d.Store = st
	if _, err := New(t.Context(), d); err == nil || !strings.Contains(err.Error(), "ask Slack who we are: slack auth.test: invalid_auth; that is about SLACK_BOT_TOKEN") {
		t.Errorf("the first start: %v", err)
	}
}
