// Command slackstub says who a token belongs to, as Slack's auth.test does, and knows nothing else.
//
// The service asks that before it serves; what looks whether an image starts needs no more of Slack. It prints the
// address of its API.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "slackstub:", err)
		os.Exit(1)
	}
	http.HandleFunc("/api/auth.test", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"ok":true,"url":"https://stub.slack.com/","team":"Stub","team_id":"T0STUB","user":"dropleak","user_id":"U0STUB","bot_id":"B0STUB"}`)
	})
	fmt.Printf("http://%s/api/\n", l.Addr())
	fmt.Fprintln(os.Stderr, "slackstub:", http.Serve(l, nil))
	os.Exit(1)
}
