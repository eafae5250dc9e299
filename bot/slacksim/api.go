package slacksim

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object, as we read and answer it.
type object = map[string]any

// apiError is one of Slack's words, with what belongs to it.
type apiError struct {
	code     string
	messages []string
	needed   string
}

func (e *apiError) Error() string { return e.code }

func fail(code string, messages ...string) *apiError {
	return &apiError{code: code, messages: messages}
}

// method is one Web API method: the scope it needs and what it does with its
// arguments, the lock held.
type method struct {
	scope string
	do    func(s *Sim, args object) (object, *apiError)
	app   bool // takes the app-level token
}

var methods = map[string]method{
	"auth.test":                    {do: (*Sim).authTest},
	"chat.postMessage":             {scope: "chat:write", do: (*Sim).postMessage},
	"chat.postEphemeral":           {scope: "chat:write", do: (*Sim).postEphemeral},
	"chat.update":                  {scope: "chat:write", do: (*Sim).updateMessage},
	"chat.delete":                  {scope: "chat:write", do: (*Sim).deleteMessage},
	"chat.scheduleMessage":         {scope: "chat:write", do: (*Sim).scheduleMessage},
	"chat.deleteScheduledMessage":  {scope: "chat:write", do: (*Sim).unscheduleMessage},
	"views.open":                   {do: (*Sim).viewsOpen},
	"views.push":                   {do: (*Sim).viewsPush},
	"views.update":                 {do: (*Sim).viewsUpdate},
	"views.publish":                {do: (*Sim).viewsPublish},
	"users.info":                   {scope: "users:read", do: (*Sim).usersInfo},
	"usergroups.users.list":        {scope: "usergroups:read", do: (*Sim).groupMembers},
	"conversations.info":           {scope: "channels:read", do: (*Sim).channelInfo},
	"files.getUploadURLExternal":   {scope: "files:write", do: (*Sim).fileSlot},
	"files.completeUploadExternal": {scope: "files:write", do: (*Sim).fileComplete},
	"files.info":                   {scope: "files:read", do: (*Sim).fileInfo},
	"files.delete":                 {scope: "files:write", do: (*Sim).fileDelete},
	"apps.connections.open":        {do: (*Sim).openConnection, app: true},
}

func (s *Sim) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/{method}", s.serveAPI)
	mux.HandleFunc("POST /upload/{ticket}", s.serveUpload)
	mux.HandleFunc("POST /response/{token}", s.serveResponse)
	mux.HandleFunc("GET /socket", s.serveSocket)
	s.pageRoutes(mux)
	return mux
}

func (s *Sim) serveAPI(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("method")
	args, token, err := readArgs(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	slow := s.faults.Slow
	s.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	s.mu.Lock()
	answer, status, retry := s.callLocked(name, token, args)
	lose := status == http.StatusOK && take(s.faults.LoseAnswer, name)
	scopes := strings.Join(s.opts.Scopes, ",")
	s.mu.Unlock()
	if lose {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("X-OAuth-Scopes", scopes)
	if retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retry))
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		io.WriteString(w, "<html><body>Something went wrong</body></html>")
		return
	}
	writeJSON(w, status, answer)
}

// callLocked runs one method and journals it. retry is in seconds.
func (s *Sim) callLocked(name, token string, args object) (answer object, status, retry int) {
	e := Entry{Kind: Call, Name: name, Channel: str(args["channel"]), TS: str(args["ts"]), User: str(args["user"])}
	e.Body, _ = json.Marshal(args)
	defer func() { s.note(e) }()
	refuse := func(err *apiError) object {
		e.Error = err.code
		o := object{"ok": false, "error": err.code}
		if err.messages != nil {
			o["response_metadata"] = object{"messages": err.messages}
		}
		if err.needed != "" {
			o["needed"], o["provided"] = err.needed, strings.Join(s.opts.Scopes, ",")
		}
		return o
	}
	m, ok := methods[name]
	if !ok {
		return refuse(fail("unknown_method")), http.StatusOK, 0
	}
	if err := s.checkToken(m, token); err != nil {
		return refuse(err), http.StatusOK, 0
	}
	if take(s.faults.ServerError, name) {
		e.Error = "503"
		return nil, http.StatusServiceUnavailable, 0
	}
	if n := s.limited(name, e.Channel); n > 0 {
		e.Error = "ratelimited"
		return object{"ok": false, "error": "ratelimited"}, http.StatusTooManyRequests, n
	}
	if codes := s.faults.Codes[name]; len(codes) > 0 {
		s.faults.Codes[name] = codes[1:]
		return refuse(fail(codes[0])), http.StatusOK, 0
	}
	o, err := m.do(s, args)
	if err != nil {
		return refuse(err), http.StatusOK, 0
	}
	o["ok"] = true
	if ts := str(o["ts"]); ts != "" {
		e.TS = ts
	}
	return o, http.StatusOK, 0
}

func (s *Sim) checkToken(m method, token string) *apiError {
	want := s.opts.BotToken
	if m.app {
		want = s.opts.AppToken
	}
	switch {
	case token == "":
		return fail("not_authed")
	case token != want && (token == s.opts.BotToken || token == s.opts.AppToken):
		return fail("not_allowed_token_type")
	case token != want:
		return fail("invalid_auth")
	case m.scope != "" && !slices.Contains(s.opts.Scopes, m.scope):
		return &apiError{code: "missing_scope", needed: m.scope}
	}
	return nil
}

// readArgs reads a call's arguments from a form or from JSON, and its token from
// the header or the form. Form values that Slack documents as JSON are decoded.
func readArgs(r *http.Request) (args object, token string, err error) {
	token, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return nil, "", err
	}
	if kind == "application/json" {
		if len(body) == 0 {
			return object{}, token, nil
		}
		if err := json.Unmarshal(body, &args); err != nil {
			return nil, "", fmt.Errorf("json arguments: %w", err)
		}
		if args == nil { // null
			args = object{}
		}
		return args, token, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, "", err
	}
	for k, v := range r.URL.Query() {
		form[k] = v
	}
	args = object{}
	for k, v := range form {
		args[k] = v[0]
		if k == "blocks" || k == "files" || k == "view" || k == "metadata" {
			var j any
			if json.Unmarshal([]byte(v[0]), &j) == nil {
				args[k] = j
			}
		}
	}
	if token == "" {
		token = str(args["token"])
	}
	delete(args, "token")
	return args, token, nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // the client went away: nobody to tell
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

func obj(v any) object {
	o, _ := v.(object)
	return o
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func truth(v any) bool { return v == true || v == "true" || v == "1" }
