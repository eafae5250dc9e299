package main

import (
	"bytes"
	"strings"
	"testing"
)

// Whatever is wrong with how it is called, dropleak says so in one line that
// names the mistake and where the right use is told, and exits with 2.
func TestMisuse(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"nonsense", `dropleak: there is no command "nonsense"; see "dropleak --help"`},
		{"sacn x", `dropleak: there is no command "sacn"; did you mean scan?; see "dropleak --help"`},
		{"help sacn", `dropleak: there is no command "sacn"; did you mean scan?; see "dropleak --help"`},
		{"token lsit", `dropleak: token: there is no command "lsit"; did you mean list?; see "dropleak token --help"`},
		{"completion tcsh", `dropleak: completion: there is no command "tcsh"; did you mean bash or fish or zsh?; see "dropleak completion --help"`},
		{"scan", `dropleak: scan: got 0 arguments, and is called as: dropleak scan [flags] FILE|DIR|- ...; see "dropleak scan --help"`},
		{"backup --config x", `dropleak: backup: got 0 arguments, and is called as: dropleak backup --config FILE BACKUP; see "dropleak backup --help"`},
		{"serve --config x extra", `dropleak: serve: takes no arguments, and got "extra"; see "dropleak serve --help"`},
		{"serve", `dropleak: serve: required flag(s) "config" not set; see "dropleak serve --help"`},
		{"serve --config", `dropleak: serve: flag needs an argument: --config; see "dropleak serve --help"`},
		{"runs --fromat x", `dropleak: runs: unknown flag: --fromat; see "dropleak runs --help"`},
		{"runs --limit many", `dropleak: runs: invalid argument "many" for "--limit" flag: it is not a whole number; see "dropleak runs --help"`},
		{"runs --json=often", `dropleak: runs: invalid argument "often" for "--json" flag: it is neither true nor false; see "dropleak runs --help"`},
		{"health --config x --wait 1", `dropleak: health: invalid argument "1" for "--wait" flag: it is not a duration such as 30s or 5m; see "dropleak health --help"`},
		{"token", `dropleak: token: does nothing by itself: say create or list or revoke; see "dropleak token --help"`},
		{"audit", `dropleak: audit: does nothing by itself: say export or verify; see "dropleak audit --help"`},
		{"backup --config x -", `dropleak: backup: writes to a file and not to standard output: name one (./- for that name); see "dropleak backup --help"`},
		{"findings --config x --limit 0", `dropleak: findings: --limit 0: at least one; see "dropleak findings --help"`},
		{"runs --config x --limit -1", `dropleak: runs: --limit -1: at least one; see "dropleak runs --help"`},
		{"export --config x --from 20 --to 10", `dropleak: export: --from 20 is not before --to 10; see "dropleak export --help"`},
		{"demo --listen 0.0.0.0:1", `dropleak: the page is for this machine alone, and 0.0.0.0:1 can be reached by others: --listen takes an address on loopback, such as 127.0.0.1:0`},
	} {
		var out, talk bytes.Buffer
		code := run(t.Context(), strings.Fields(tt.args), strings.NewReader(""), &out, &talk)
		if code != 2 || talk.String() != tt.want+"\n" || out.Len() > 0 {
			t.Errorf("dropleak %s: exit %d, want 2\n got %s want %s", tt.args, code, talk.String(), tt.want)
		}
	}
	for _, args := range []string{"", "help", "help scan", "help token create", "completion bash", "completion"} {
		var out, talk bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), strings.NewReader(""), &out, &talk); code != 0 || out.Len() == 0 {
			t.Errorf("dropleak %s: exit %d, %d bytes; %s", args, code, out.Len(), talk.String())
		}
	}
}
