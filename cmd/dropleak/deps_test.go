package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot"
	"github.com/dropleak/dropleak/configs"
)

// TestRulePolicy: a policy reaches the service with its window and its line;
// without one nothing is ever done without a person.
func TestRulePolicy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "d.yaml")
	text := "slack: {channel: C1}\napprovals: {approvers: [U012]}\nworkers:\n  - node: mail\n    restart: systemd\n    auto:\n      below: 45m\n" +
		"      window: \"22:00-06:00 UTC\"\n  - restart: systemd\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configs.LoadBeside(file)
	if err != nil {
		t.Fatal(err)
	}
	p := rule(c, 1, nil, "mail").Policy
	night, noon := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	if p.Below != 45*time.Minute || p.Line != "d.yaml:7" || p.Open == nil || !p.Open(night) || p.Open(noon) {
		t.Errorf("policy %+v", p)
	}
	if p := rule(c, 1, nil, "web").Policy; p.Below != 0 || p.Open != nil {
		t.Errorf("nobody wrote a policy: %+v", p)
	}
}

// TestQueuesReachTheRuns: the queues of the file arrive, and change no rule's
// hash: approvals that stand stay good.
func TestQueuesReachTheRuns(t *testing.T) {
	c := configs.Config{Workers: []configs.WorkerRule{{Node: "mail@*", Restart: "supervisor", Unit: "mail"}}}
	before := rule(c, 1, nil, "mail@a").Hash
	c.Remediation.Queues = []configs.Queue{{Workers: configs.Globs{"mail@*", "web"}, Keep: 2}}
	if after := rule(c, 1, nil, "mail@a").Hash; after != before {
		t.Errorf("hash %s became %s", before, after)
	}
	q := limits(c.Remediation).Queues
	if len(q) != 1 || q[0].Keep != 2 || q[0].Title() != "mail@*, web" {
		t.Errorf("queues %+v", q)
	}
}

// TestZoneOfTheFirstReport: what Slack does not show in the reader's own zone
// stands in that of the first report.
func TestZoneOfTheFirstReport(t *testing.T) {
	var d bot.Deps
	c := configs.Config{Schedule: configs.Schedule{Scan: "@every 5m", Report: configs.Reports{
		{Cron: "0 9 * * *", TimeZone: "Europe/Berlin"}, {Cron: "0 8 * * 1", TimeZone: "Asia/Tokyo"}}}}
	if err := schedules(&d, c); err != nil || d.Zone.String() != "Europe/Berlin" || len(d.Reports) != 2 {
		t.Errorf("%v, %v, %d reports", err, d.Zone, len(d.Reports))
	}
}
