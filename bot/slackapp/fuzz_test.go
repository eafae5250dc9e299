package slackapp

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"testing"
)

// FuzzParse feeds foreign bytes to every parser. What they accept must name its
// request and its person, and survive the store's JSON.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `null`, `[]`, `{"type":"block_actions"}`,
		`{"type":"block_actions","trigger_id":"1","user":{"id":"U","team_id":"T"},"actions":[{"action_id":"a","block_id":"b","value":"v"}]}`,
		`{"type":"block_actions","trigger_id":"1","user":{"id":"U"},"team":{"id":"T"},"actions":[{"selected_option":{"value":"x"}}],"state":{"values":{"b":{"a":{"selected_options":[{"value":"1"},{}]}}}}}`,
		`{"type":"view_submission","user":{"id":"U","team_id":"T"},"view":{"id":"V","hash":"h","state":{"values":{"b":{"a":{"value":null,"selected_users":["U"]}}}}}}`,
		`{"type":"url_verification","challenge":"c"}`,
		`{"type":"event_callback","team_id":"T","event_id":"E","event":{"type":"app_home_opened","user":"U","tab":"home","view":{"hash":"h"}}}`,
		`{"command":"/leaks","user_id":"U","team_id":"T","trigger_id":"1","is_enterprise_install":false}`,
		`command=%2Fleaks&user_id=U&team_id=T&trigger_id=1`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(in Envelope, err error) {
			if err != nil {
				if !reflect.DeepEqual(in, Envelope{}) {
					t.Fatalf("error %v beside %+v", err, in)
				}
				return
			}
			sound(t, in)
		}
		for _, kind := range []string{"slash_commands", "interactive", "events_api"} {
			check(parseFrame(kind, b))
		}
		if form, err := url.ParseQuery(string(b)); err == nil {
			check(parseCommand(form))
		}
		if _, err := parseFrame("hello", b); !errors.Is(err, errUninteresting) {
			t.Fatal("took a frame of no kind we know")
		}
	})
}

func sound(t *testing.T, in Envelope) {
	t.Helper()
	var who Who
	n := 0
	if in.Command != nil {
		n, who = n+1, in.Command.Who
	}
	if in.Click != nil {
		n, who = n+1, in.Click.Who
	}
	if in.Submission != nil {
		n, who = n+1, in.Submission.Who
	}
	if in.HomeOpened != nil {
		n, who = n+1, in.HomeOpened.Who
	}
	if n != 1 || in.ID == "" || who.User == "" || who.Team == "" {
		t.Fatalf("accepted %+v", in)
	}
	first, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var back Envelope
	if err := json.Unmarshal(first, &back); err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(back)
	if err != nil || string(first) != string(second) {
		t.Fatalf("the store would change %s into %s (%v)", first, second, err)
	}
}

func FuzzResponseAddress(f *testing.F) {
	a, err := New(Options{BotToken: "b", AppToken: "a", Handler: nobody{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("https://hooks.slack.com/x")
	f.Add("https://hooks.slack.com@evil.example/x")
	f.Add("https://hooks.slack.com\\@evil.example/")
	f.Fuzz(func(t *testing.T, s string) {
		if a.checkResponseURL(s) != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Port() != "" {
			t.Fatalf("accepted %q", s)
		}
	})
}
