package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	say := func(want int, args ...string) string {
		t.Helper()
		var out, talk bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader(""), &out, &talk); code != want {
			t.Fatalf("%v: exit %d, want %d\n%s", args, code, want, talk.String())
		}
		return out.String()
	}
	release = "v1.2.3"
	defer func() { release = "" }()
	line := say(0, "version")
	if line != say(0, "--version") || !strings.HasPrefix(line, "dropleak v1.2.3 (commit ") || !strings.Contains(line, runtime.Version()) || strings.Count(line, "\n") != 1 {
		t.Errorf("version says %q, --version %q", line, say(0, "--version"))
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(say(0, "version", "--json")), &got); err != nil || got["version"] != "v1.2.3" || got["go"] != runtime.Version() {
		t.Errorf("version --json: %v, %v", got, err)
	}
	say(2, "version", "surplus")
}

func TestBuildOf(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v0.9.0"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc123"}, {Key: "vcs.modified", Value: "true"}}}
	if b := buildOf(info); b.Version != "v0.9.0" || b.Commit == nil || *b.Commit != "abc123" || !b.Modified || !strings.Contains(b.String(), "commit abc123, changed since") {
		t.Errorf("built: %+v", b)
	}
	if b := buildOf(&debug.BuildInfo{}); b.Version != "(unknown)" || b.Commit != nil || !strings.Contains(b.String(), "commit unknown") {
		t.Errorf("built of nothing: %+v", b)
	}
}
