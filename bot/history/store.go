package history

import (
	"context"
	"errors"
	"time"
)

// Set is a label set in the form the store keeps it.
type Set struct {
	Labels                string // JSON list of [name, value], sorted by name
	Name, Droplet, Worker string

	source string
}

// Push is what one request said of one droplet. Store it as it is.
type Push struct {
	Seq         int64 // handed out by the store; later pushes have higher ones
	Droplet     string
	At          int64  // arrival, ms
	First, Last int64  // the span of its samples, ms
	Body        []byte // none: the samples are kept elsewhere
	Presence    []Presence
	Was         string  // what the source of Presence was called before senders were told apart; "": no other name
	Late        []int64 // starts (ms) of the digests that its samples make untrue
}

// KeptDigest is what was learnt of the samples of one droplet from Start (ms)
// for [detector.ChunkWidth]. Late samples take the body away and raise the
// version.
type KeptDigest struct {
	Start, Version int64
	Body           []byte
}

// Presence says when something was last heard of.
type Presence struct {
	DropletID string
	Worker    string // "" for the droplet itself
	Source    string // "" for the agent, else as in [LabelSource], of a sender with its name as in [Owner]
	Last      time.Time
	Interval  time.Duration // between its samples of late; 0 after only one
}

// Entry is one known series.
type Entry struct {
	ID     int64
	Labels string // as in [Set]
}

// Scope narrows what is read. Empty fields do not narrow.
type Scope struct {
	Droplet, Name string
	Raw           bool // of chunks, only the raw ones
}

// Resolution says what a chunk holds.
type Resolution int64

// The two resolutions.
const (
	Raw    Resolution = 0
	Coarse Resolution = 1
)

// ChunkKey names a chunk: one series from Start (ms) for the length its
// resolution has.
type ChunkKey struct {
	Series     int64
	Resolution Resolution
	Start      int64
}

// Chunk is some time of one series, compressed.
type Chunk struct {
	ChunkKey
	Last int64 // time of its last sample, ms
	Body []byte
}

// Due is a droplet whose pushes wait to be folded. Fold is the compare-and-set
// token that lets one of several replicas do it.
type Due struct {
	Droplet string
	Oldest  int64 // arrival of the oldest waiting push, ms
	Fold    int64
}

// ErrTaken says that another replica folds this droplet.
var ErrTaken = errors.New("another replica is folding this droplet")

// Intake is where what arrives is committed.
type Intake interface {
	// InternSeries returns the ids of sets, in order, creating what is new
	// while the owner has fewer than limit series (0: no limit); 0 stands
	// for a set refused. It marks the sets as still written.
	InternSeries(ctx context.Context, owner string, limit int, sets []Set) ([]int64, error)
	// AppendPushes commits pushes and what they say of presence, all or none.
	AppendPushes(ctx context.Context, pushes []Push) error
}

// Reader is what reading needs.
type Reader interface {
	// SeriesIn lists the known series of a scope.
	SeriesIn(ctx context.Context, s Scope) ([]Entry, error)
	// ChunksIn lists the chunks of a scope that touch from..to (ms, both
	// included), by series, then resolution, then start.
	ChunksIn(ctx context.Context, s Scope, from, to int64) ([]Chunk, error)
	// PushesIn lists the waiting pushes of a droplet ("": of all) that touch
	// from..to, in the order they came.
	PushesIn(ctx context.Context, droplet string, from, to int64) ([]Push, error)
	// Presences lists all that was ever heard of and not swept.
	Presences(ctx context.Context) ([]Presence, error)
}

// Folder is what folding and retention need.
type Folder interface {
	// DuePushes lists droplets whose oldest push arrived before the given
	// time (ms), oldest first.
	DuePushes(ctx context.Context, before int64) ([]Due, error)
	// AmendChunks replaces each chunk by what merge makes of its present
	// body (nil: none), in one transaction, if d.Fold is still current; it
	// then raises d.Fold. Else [ErrTaken].
	AmendChunks(ctx context.Context, d *Due, keys []ChunkKey, merge func(i int, old []byte) (Chunk, error)) error
	// DropPushes forgets folded pushes under the same rule.
	DropPushes(ctx context.Context, d *Due, seqs []int64) error
}

// Sweeper is what retention needs.
type Sweeper interface {
	// SeriesAfter lists up to limit series with higher ids, ascending.
	SeriesAfter(ctx context.Context, id int64, limit int) ([]int64, error)
	// CoarsenSeries hands merge the raw chunks of a series that start before
	// the given time with its coarse ones of the same days, stores what it
	// returns and deletes the raw ones, in one transaction.
	CoarsenSeries(ctx context.Context, id, before int64, merge func(raw, coarse []Chunk) ([]Chunk, error)) error
	// SweepSeries deletes coarse chunks that end before the given time, and
	// the series itself if nothing is left and nothing was written since.
	SweepSeries(ctx context.Context, id, before int64) error
	// SweepPresence forgets what was last heard of before the given time.
	SweepPresence(ctx context.Context, before int64) error
}

// Digests keeps what was learnt of samples, so that a scan need not read them
// all again. All of it can be made anew.
type Digests interface {
	// DigestsIn lists the digests of a droplet that start within from..to
	// (ms, both included), by start.
	DigestsIn(ctx context.Context, droplet string, from, to int64) ([]KeptDigest, error)
	// PutDigests keeps digests, each unless late samples came for its time
	// since Version was read (0: there was none).
	PutDigests(ctx context.Context, droplet string, ds []KeptDigest) error
	// SweepDigests deletes the digests that start before the given time.
	SweepDigests(ctx context.Context, before int64) error
}

// Store keeps what [History] writes.
type Store interface {
	Intake
	Digests
	Reader
	Folder
	Sweeper
}
