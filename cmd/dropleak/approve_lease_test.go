package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
)

func TestToCome(t *testing.T) {
	now := time.Date(2026, 11, 22, 23, 30, 0, 0, time.FixedZone("CET", 3600))
	for text, want := range map[string]string{
		"08:00": "2026-11-23T08:00:00+01:00", "23:45": "2026-11-22T23:45:00+01:00", "23:30": "2026-11-23T23:30:00+01:00",
		"12h": "2026-11-23T11:30:00+01:00", "1d": "2026-11-23T23:30:00+01:00", "2026-11-23T08:00:00Z": "2026-11-23T09:00:00+01:00",
		"": "", "soon": "", "-1h": "", "24:00": "", "8": "",
	} {
		at, err := toCome(text, now)
		if got := at.In(now.Location()).Format(time.RFC3339); want == "" && err == nil || want != "" && got != want {
			t.Errorf("%q is %s, %v, want %s", text, got, err, want)
		}
	}
}

// A lease is granted and revoked here as in Slack: the same gate, the same
// terms, the same people.
func TestApproveLease(t *testing.T) {
	o := newOffice(t, "approvals: {approvers: [U0ANNA, U0BEN], quorum: 2}\n")
	o.asked("r1")
	terms := []string{"--keep-alive-until", "12h", "--below", "30m", "--times", "3"}
	grant := func(code int, more ...string) {
		t.Helper()
		o.do(code, append(append([]string{"approve"}, more...), "r1")...)
	}
	grant(2, "--as", inOffice, "--yes", "--below", "30m", "--times", "3")
	o.hears("needs --keep-alive-until, --below and --times")
	grant(2, "--as", inOffice, "--yes", "--keep-alive-until", "soon", "--below", "30m", "--times", "3")
	grant(2, append(terms, "--as", inOffice, "--yes", "--cancel")...)
	grant(1, "--as", inOffice, "--yes", "--keep-alive-until", "100d", "--below", "30m", "--times", "3")
	o.hears("within 72 hours")
	grant(1, append(terms, "--as", "U0CARLA", "--yes")...)
	o.hears("not among the configured approvers")
	o.in = "no\n"
	grant(1, append(terms, "--as", inOffice)...)
	o.hears("when less than 30 min is left", "at most 3 times", "One snapshot", "It takes 2 people", "nothing was done")
	if g := o.gate("r1"); len(g.Votes) != 0 {
		t.Fatalf("nobody granted it, and it has votes: %+v", g.Votes)
	}
	morning := time.Now().Add(12 * time.Hour).UTC().Format(time.RFC3339)
	terms[1] = morning // the same for both
	grant(0, append(terms, "--as", inOffice, "--yes")...)
	o.says("1 of 2 needed")
	grant(0, append(terms, "--as", "U0BEN", "--yes", "--reason", "until the deploy")...)
	o.says("Granted")
	o.wantVia("decision", o.last(), "U0BEN", "grant_lease")
	if g := o.gate("r1"); len(g.Votes) != 2 || g.Votes[0].Kind != "grant_lease" {
		t.Errorf("the gate has %+v", g)
	}
}

func TestRevokeLease(t *testing.T) {
	o := newOffice(t, "approvals: {approvers: [U0ANNA]}\n")
	o.asked("r1")
	o.do(1, "approve", "--as", inOffice, "--yes", "--revoke-lease", "r1")
	o.hears("not known here")
	now := time.Now().UTC()
	raw, err := json.Marshal(map[string]any{"run": "r1", "finding": "f-r1", "plan": map[string]any{"droplet_id": 4711, "droplet": "web-1", "worker": "mail"},
		"terms": map[string]any{"below": 30 * time.Minute, "until": now.Add(time.Hour), "most": 3}, "granted": now})
	if err == nil {
		err = o.store.CreateRun(t.Context(), workflow.Run{ID: "lease-r1", Recipe: "lease", Key: "lease/4711/mail", Step: "hold", Data: raw, Created: now, Updated: now, Entered: now})
	}
	if err != nil {
		t.Fatal(err)
	}
	o.do(1, "approve", "--as", "U0CARLA", "--yes", "--revoke-lease", "r1")
	o.hears("not among the configured approvers")
	o.in = "yes\n"
	o.do(0, "approve", "--as", inOffice, "--revoke-lease", "--reason", "deployed", "r1")
	o.hears("Its lease ends now, 0 of 3 restarts used")
	o.says("The lease is revoked")
	r, err := o.store.Run(t.Context(), "lease-r1")
	if err != nil || !strings.Contains(string(r.Gate), `"revoked"`) || !strings.Contains(string(r.Gate), "command line") {
		t.Errorf("the lease's gate is %s, %v", r.Gate, err)
	}
	o.do(1, "approve", "--as", inOffice, "--yes", "--revoke-lease", "r1")
	o.hears("ended already")
	o.do(0, "audit", "verify")
}
