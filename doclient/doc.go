// Package doclient speaks to DigitalOcean in our nouns: droplets, memory,
// snapshots, actions awaited, within the rate budget.
//
// A [Reader] only reads; an [Executor] is a Reader that may also snapshot,
// reboot and power-cycle droplets and delete snapshots. They are built from
// different tokens (see [ReaderScopes] and [ExecutorScopes]), and whoever is
// handed a *Reader cannot make it write.
//
// # What is repeated and what is not
//
// A GET that meets a lost connection, a 429 or a 5xx is tried again with
// growing, jittered pauses; a Retry-After is obeyed, but only inside the
// context's deadline. A POST or DELETE leaves once, whatever happens to it:
// DigitalOcean has no idempotency key, and a snapshot asked for twice is taken
// and billed twice. When an order's answer is lost, [Unclear] says so, and the
// only sound next step is to observe: [Reader.FindActions], then
// [Reader.SnapshotByName]. A 4xx other than 408 is a certain refusal, so an
// order refused because the droplet is busy ([Pending]) may be given again;
// [RetryPending] does.
//
// # Budget
//
// Every token has 5,000 requests an hour and 250 a minute, shared with whoever
// else uses it. A Reader paces its GETs below that and slows down further when
// the rate headers show that others eat from the same plate; see [Budget].
//
// # Doubt
//
// No metrics is [ErrNoData], never zero memory. Samples that cannot be (NaN,
// null, zero, negative) are dropped. DigitalOcean's status, error id, message
// (cut, and cleared of tokens) and request id are in [Error].
package doclient
