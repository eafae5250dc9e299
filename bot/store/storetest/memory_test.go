package storetest

import (
	"testing"

	"github.com/dropleak/dropleak/bot/workflow"
)

// TestMemory holds the store of the fast tests to the promises of the real
// ones.
func TestMemory(t *testing.T) {
	Workflow(t, func(*testing.T) (a, b workflow.Store) {
		m := &Memory{}
		return m, m
	})
}
