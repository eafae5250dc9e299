// Package storetest is the one conformance suite of [store.Store]: whatever
// holds on SQLite holds on PostgreSQL.
package storetest

import (
	"testing"

	"github.com/dropleak/dropleak/bot/store"
)

// Fresh names a new, empty store; what it names goes with the test.
type Fresh func(t *testing.T) (dsn string)

// Run runs the whole suite, each test on a store of its own.
func Run(t *testing.T, fresh Fresh) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh(t)) })
	}
}

// cases is the table of the suite: one line a promise.
var cases = []struct {
	name string
	run  func(t *testing.T, dsn string)
}{
	{"cursors", cursors},
	{"findings/life", findingLife},
	{"findings/incident", findingIncident},
	{"findings/one live one a subject", findingUnique},
	{"findings/one live one a source", findingSource},
	{"finding/missing together", findingMissing},
	{"findings/two writers", findingRace},
	{"findings/list", findingList},
	{"alerts/outbox", alertOutbox},
	{"alerts/two writers", alertRace},
	{"schedule/one replica fires", fireClaimed},
	{"runs", runs},
	{"audit/chain", auditChain},
	{"audit/two writers", auditRace},
	{"audit/forged", auditForged},
	{"history/late, repeated, folded", historyReads},
	{"history/bad series", historyRefuses},
	{"history/limit of series", historyLimit},
	{"history/two replicas", historyRace},
	{"history/retention", historyRetain},
	{"history/workers and droplets", historyWorkers},
	{"history/digests", historyDigests},
	{"history/presence", historySeen},
	{"history/like a map", historyModel},
	{"hub/tokens", hubTokens},
	{"hub/an agent's droplet", hubAgentDroplet},
	{"hub/foreign senders", hubSender},
	{"hub/senders are told apart", hubSenders},
	{"hub/refusals", hubRefuses},
	{"hub/too much", hubTooMuch},
	{"hub/clones", hubClone},
	{"hub/an order's life", hubOrder},
	{"hub/claimed once", hubClaimOnce},
	{"hub/too late", hubTooLate},
	{"hub/questions are forgotten", hubForgets},
	{"hub/long poll", hubLongPoll},
	{"inbox/each envelope once", inboxOnce},
	{"inbox/lease", inboxLease},
	{"open/again", openAgain},
	{"open/killed", killed},
}

// Open opens dsn for the length of the test.
func Open(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
