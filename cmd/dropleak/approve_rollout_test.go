package main

import (
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
)

// What a rolling restart would do is said before the yes, worker by worker.
func TestRolloutConsequence(t *testing.T) {
	v := remedy.RolloutView{ID: "rollout-r3x7", Need: 2, Have: 1, Turns: []remedy.Turn{
		{Finding: "f1", Plan: remedy.Plan{Droplet: "web-1", Worker: "mail", Way: restart.Systemd, Unit: order.Unit{Name: "celery-mail.service"}}},
		{Finding: "f2", Refused: "mail on web-2 could not be looked at."}}}
	got := rolloutConsequence(v, remedy.Decision{Kind: remedy.Approve, By: "U0ANNA"})
	for _, want := range []string{"one at a time", "mail on web-1: celery-mail.service through systemd", "left out: mail on web-2", "1 of 2 so far; this is one of U0ANNA"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if got := rolloutConsequence(v, remedy.Decision{Kind: remedy.Cancel}); !strings.Contains(got, "Nothing more is restarted") || strings.Contains(got, "web-1") {
		t.Errorf("a cancel: %q", got)
	}
}
