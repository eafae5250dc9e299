package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

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
