package main

import (
	"strings"
	"testing"
)

// events of a package p whose single test T ends in action, having printed output.
func events(action, output string) string {
	return `{"Action":"run","Package":"p","Test":"T"}
{"Action":"output","Package":"p","Test":"T","Output":"=== RUN   T\n"}
{"Action":"output","Package":"p","Test":"T","Output":"` + output + `"}
{"Action":"output","Package":"p","Test":"T","Output":"--- END: T (0.00s)\n"}
{"Action":"` + action + `","Package":"p","Test":"T","Elapsed":0.5}
`
}

const onePassed = `{"Action":"pass","Package":"p","Test":"Other"}
{"Action":"pass","Package":"p","Elapsed":1}
`

func TestGate(t *testing.T) {
	for name, c := range map[string]struct {
		events string
		env    map[string]string
		pass   bool
		says   string
	}{
		"all passed":      {events("pass", "fine\\n") + onePassed, nil, true, "2 passed, 0 failed, 0 skipped"},
		"a test failed":   {events("fail", "    a_test.go:3: got 1, want 2\\n") + onePassed, nil, false, "got 1, want 2"},
		"a test skipped":  {events("skip", "    a_test.go:3: too slow\\n") + onePassed, nil, false, "SKIPPED  p T: too slow"},
		"a silent skip":   {events("skip", "") + onePassed, nil, false, "SKIPPED  p T: (no message)"},
		"data not here":   {events("skip", "    a_test.go:3: needs DROPLEAK_CORPUS\\n") + onePassed, nil, true, "1 not run for want of data"},
		"data is here":    {events("skip", "    a_test.go:3: needs DROPLEAK_CORPUS\\n") + onePassed, map[string]string{"DROPLEAK_CORPUS": "/d"}, false, "SKIPPED"},
		"other data here": {events("skip", "    a_test.go:3: needs DROPLEAK_OPENAPI: the document\\n") + onePassed, map[string]string{"DROPLEAK_CORPUS": "/d"}, true, "not run"},
		"unknown data":    {events("skip", "    a_test.go:3: needs DROPLEAK_MOON\\n") + onePassed, nil, false, "SKIPPED"},
		"prefix only":     {events("skip", "    a_test.go:3: needs DROPLEAK_CORPUS2\\n") + onePassed, nil, false, "SKIPPED"},
		"said, not why": {`{"Action":"output","Package":"p","Test":"T","Output":"    a_test.go:2: needs DROPLEAK_CORPUS\n"}
` + events("skip", `    a_test.go:3: or perhaps not\n`) + onePassed, nil, false, "or perhaps not"},
		"nothing ran": {`{"Action":"skip","Package":"p"}` + "\n", nil, false, "no test ran"},
		"does not build": {`{"ImportPath":"p","Action":"build-output","Output":"p.go:1: undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}
` + onePassed, nil, false, "undefined: x"},
		"panic outside tests": {onePassed + `{"Action":"output","Package":"q","Output":"panic: boom\n"}
{"Action":"fail","Package":"q"}
`, nil, false, "panic: boom"},
		"hanging test": {onePassed + `{"Action":"output","Package":"q","Test":"H","Output":"waiting\n"}
{"Action":"fail","Package":"q"}
`, nil, false, "unfinished: q H\nwaiting"},
	} {
		t.Run(name, func(t *testing.T) {
			tally := newTally(func(key string) string { return c.env[key] })
			var said strings.Builder
			if err := tally.read(strings.NewReader(c.events), &said); err != nil {
				t.Fatal(err)
			}
			if pass := tally.report(&said); pass != c.pass {
				t.Errorf("passed = %v, want %v", pass, c.pass)
			}
			if !strings.Contains(said.String(), c.says) {
				t.Errorf("does not say %q:\n%s", c.says, said.String())
			}
		})
	}
}

func TestGateRefusesWhatIsNoEvent(t *testing.T) {
	tally := newTally(func(string) string { return "" })
	if err := tally.read(strings.NewReader("go: cannot find main module\n"), &strings.Builder{}); err == nil {
		t.Error("no error for a line that is not JSON")
	}
}

func TestGateReadsLastLineWithoutNewline(t *testing.T) {
	tally := newTally(func(string) string { return "" })
	if err := tally.read(strings.NewReader(`{"Action":"pass","Package":"p","Test":"T"}`), &strings.Builder{}); err != nil {
		t.Fatal(err)
	}
	if tally.passed != 1 {
		t.Errorf("%d passed, want 1", tally.passed)
	}
}

func TestGateSaysWhatFailedFirst(t *testing.T) {
	tally := newTally(func(string) string { return "" })
	log := strings.Repeat(`{"Action":"output","Package":"p","Test":"T","Output":"        a long log\n"}`+"\n", 50)
	text := `{"Action":"output","Package":"p","Test":"T","Output":"    a_test.go:9: got 1, want 2\n"}` + "\n" + log + `{"Action":"fail","Package":"p","Test":"T"}` + "\n"
	if err := tally.read(strings.NewReader(text), &strings.Builder{}); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	tally.report(&said)
	if !strings.Contains(said.String(), "said     p T\n           a_test.go:9: got 1, want 2\n") {
		t.Errorf("the summary does not say why:\n%s", said.String())
	}
}
