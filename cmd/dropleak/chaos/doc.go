// Package chaos kills the real service at random moments and audits what the
// world saw of it.
//
// It holds tests only. Each town is one store with one service on SQLite, or
// two on a real PostgreSQL, between a simulated DigitalOcean and a simulated
// Slack that both misbehave: 429, 5xx, answers lost after the act, duplicate
// deliveries, broken sockets. Agents are scripted here: they speak the real
// order protocol and remote write, and do whatever they are told as often as
// they are told, without the real agent's own guard against doing it twice.
// People press Approve, often more than once and at once.
//
// While that goes on the service is killed with SIGKILL: at random moments,
// and at the worst ones, such as between a POST and its answer. When every run
// has ended, the books of the simulators and of the agents, not the service's
// word, say what happened: a restart without a finished snapshot of its own,
// a second snapshot or restart, a run that never ended or whose message is not
// true, and a broken audit chain are each a failure.
//
// One fault is left out on purpose: a POST that was answered with a 5xx and
// did nothing. Nobody can tell that from one that was carried out and left no
// trace, so the run rightly goes to a person, without any kill to blame.
package chaos
