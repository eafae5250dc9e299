package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// spool keeps passes on disk until the service has them, oldest first,
// within a bound.
//
// It is a directory of append-only segments. A record is a length, a CRC-32C
// and the bytes; what does not check is a torn tail and is cut off when the
// spool is opened. Each append is synced: a pass is one small write a minute.
// How far the service has read is kept beside it without a sync, since a
// pass sent twice does no harm. Over the bound the oldest segment goes.
//
// A droplet whose disk is full is not to fall silent too: what cannot be
// written waits in memory, the newest of it, until it is sent or the agent ends.
type spool struct {
	dir  string
	max  int64
	lock *os.File
	// syncDir makes a new segment's name durable.
	syncDir func(dir string) error

	mu       sync.Mutex
	segments []segment // ascending; the last is open for appending
	tail     *os.File
	head     int64    // offset of the next unread record in segments[0]
	lost     int      // records dropped over the bound or unreadable, since asked
	unsaved  [][]byte // what the disk would not take
	more     chan struct{}
}

type segment struct {
	n       int64 // its number, in its name
	size    int64
	records int // unread ones, for counting what is lost
}

const (
	recordHead   = 8
	maxRecord    = 16 << 20
	segmentShare = 16 // a segment is at most this part of the bound
	maxSegment   = 1 << 20
	maxUnsaved   = 1 << 20 // bytes that wait in memory
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openSpool opens or makes the spool in dir. A second agent on it is told so.
func openSpool(dir string, bound int64) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("open spool %s: another agent holds it: %w", dir, err)
	}
	s := &spool{dir: dir, max: bound, lock: lock, syncDir: syncDir, more: make(chan struct{}, 1)}
	if err := s.load(); err != nil {
		s.close()
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	return s, nil
}

func (s *spool) path(n int64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%012d.seg", n))
}

func (s *spool) load() error {
	names, err := filepath.Glob(filepath.Join(s.dir, "*.seg"))
	if err != nil {
		return err
	}
	for _, name := range names {
		n, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(name), ".seg"), 10, 64)
		if err != nil {
			continue // not ours
		}
		s.segments = append(s.segments, segment{n: n})
	}
	slices.SortFunc(s.segments, func(a, b segment) int { return int(a.n - b.n) })
	first, offset := s.readPosition()
	for len(s.segments) > 0 && s.segments[0].n < first {
		if err := os.Remove(s.path(s.segments[0].n)); err != nil {
			return err
		}
		s.segments = s.segments[1:]
	}
	for i := range s.segments {
		from := int64(0)
		if i == 0 && s.segments[0].n == first {
			from = offset
		}
		if err := s.check(&s.segments[i], from); err != nil {
			return err
		}
		if i == 0 {
			s.head = min(from, s.segments[0].size)
		}
	}
	return s.roll()
}

// check counts a segment's good records and cuts off what follows them.
func (s *spool) check(g *segment, from int64) error {
	f, err := os.OpenFile(s.path(g.n), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	end := int64(0)
	for {
		body, err := readRecord(f, end)
		if err != nil {
			break
		}
		if end >= from {
			g.records++
		}
		end += recordHead + int64(len(body))
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	g.size = end
	if info.Size() == end {
		return nil
	}
	s.lost++ // at least one pass was cut
	if err := f.Truncate(end); err != nil {
		return err
	}
	return f.Sync()
}

var errTorn = errors.New("torn record")

func readRecord(f io.ReaderAt, at int64) ([]byte, error) {
	var head [recordHead]byte
	if _, err := f.ReadAt(head[:], at); err != nil {
		return nil, errTorn
	}
	n := binary.LittleEndian.Uint32(head[:4])
	if n == 0 || n > maxRecord {
		return nil, errTorn
	}
	body := make([]byte, n)
	if _, err := f.ReadAt(body, at+recordHead); err != nil {
		return nil, errTorn
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errTorn
	}
	return body, nil
}

// roll opens a fresh segment for appending. Its number is beyond the read
// position too: were the segments deleted and the position left, lower ones
// would count as read at the next open.
func (s *spool) roll() error {
	first, _ := s.readPosition()
	n := first + 1
	if len(s.segments) > 0 {
		n = max(n, s.segments[len(s.segments)-1].n+1)
	}
	f, err := os.OpenFile(s.path(n), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := s.syncDir(s.dir); err != nil {
		// Left there, it would be in the way of the next try, for ever.
		return errors.Join(err, f.Close(), os.Remove(s.path(n)))
	}
	if s.tail != nil {
		s.tail.Close()
	}
	s.tail = f
	s.segments = append(s.segments, segment{n: n})
	s.skipRead()
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// append writes one record and makes it durable.
func (s *spool) append(body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if most := min(maxRecord, s.max-recordHead); len(body) == 0 || int64(len(body)) > most {
		s.lost++
		return fmt.Errorf("spool a pass of %d bytes: at most %d fit", len(body), most)
	}
	err := s.save(body)
	if err != nil {
		s.hold(body)
		err = fmt.Errorf("spool a pass, which waits in memory instead: %w", err)
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
	return err
}

func (s *spool) save(body []byte) error {
	if last := s.segments[len(s.segments)-1]; last.size >= min(maxSegment, s.max/segmentShare) {
		if err := s.roll(); err != nil {
			return err
		}
	}
	s.makeRoom(int64(len(body)) + recordHead)
	return s.write(body)
}

// hold keeps a record in memory, and the oldest no longer that are too much.
func (s *spool) hold(body []byte) {
	s.unsaved = append(s.unsaved, body)
	size := 0
	for i := len(s.unsaved) - 1; i >= 0; i-- {
		if size += len(s.unsaved[i]); size > maxUnsaved && i < len(s.unsaved)-1 {
			s.lost += i + 1
			s.unsaved = slices.Delete(s.unsaved, 0, i+1)
			return
		}
	}
}

func (s *spool) write(body []byte) error {
	last := &s.segments[len(s.segments)-1]
	record := make([]byte, recordHead, recordHead+len(body))
	binary.LittleEndian.PutUint32(record, uint32(len(body)))
	binary.LittleEndian.PutUint32(record[4:], crc32.Checksum(body, castagnoli))
	record = append(record, body...)
	_, err := s.tail.WriteAt(record, last.size)
	if err == nil {
		err = s.tail.Sync()
	}
	if err != nil {
		// Whatever half was written is overwritten by the next append, or
		// cut when the spool is opened again.
		return errors.Join(err, s.tail.Truncate(last.size))
	}
	last.size += int64(len(record))
	last.records++
	return nil
}

// makeRoom drops the oldest segments until n more bytes are within the bound.
func (s *spool) makeRoom(n int64) {
	total := n
	for _, g := range s.segments {
		total += g.size
	}
	for total > s.max && len(s.segments) > 1 {
		total -= s.segments[0].size
		s.lost += s.segments[0].records
		s.dropFirst()
	}
}

func (s *spool) dropFirst() {
	// A segment that will not go is skipped all the same; the next open
	// finds it below the read position and tries again.
	_ = os.Remove(s.path(s.segments[0].n))
	s.segments = s.segments[1:]
	s.head = 0
	s.savePosition()
}

// next returns the oldest record the service does not have; nil: none.
func (s *spool) next() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skipRead()
	for {
		first := &s.segments[0]
		if s.head >= first.size {
			if len(s.unsaved) > 0 {
				return s.unsaved[0]
			}
			return nil
		}
		body, err := s.readAt(first.n, s.head)
		if err == nil {
			return body
		}
		// The disk lost it after it was checked.
		s.lost += first.records
		first.records, s.head = 0, first.size
		s.skipRead()
	}
}

func (s *spool) readAt(n, at int64) ([]byte, error) {
	f, err := os.Open(s.path(n))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readRecord(f, at)
}

// skipRead removes segments that are read to their end, but never the last.
func (s *spool) skipRead() {
	for len(s.segments) > 1 && s.head >= s.segments[0].size {
		s.dropFirst()
	}
}

// done marks the record that next returned as delivered. Should it have been
// dropped meanwhile, nothing happens.
func (s *spool) done(body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := &s.segments[0]
	got, err := s.readAt(first.n, s.head)
	if err != nil || !slices.Equal(got, body) {
		if len(s.unsaved) > 0 && slices.Equal(s.unsaved[0], body) {
			s.unsaved = slices.Delete(s.unsaved, 0, 1)
		}
		return
	}
	s.head += recordHead + int64(len(body))
	first.records--
	s.savePosition()
	s.skipRead()
}

// waiting returns how many records wait, and how many were lost since asked.
func (s *spool) waiting() (waiting, lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting = len(s.unsaved)
	for _, g := range s.segments {
		waiting += g.records
	}
	lost, s.lost = s.lost, 0
	return waiting, lost
}

func (s *spool) positionFile() string { return filepath.Join(s.dir, "position") }

func (s *spool) savePosition() {
	text := fmt.Sprintf("%d %d\n", s.segments[0].n, s.head)
	tmp := s.positionFile() + ".new"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return // sent twice after a crash, no worse
	}
	_ = os.Rename(tmp, s.positionFile()) // the same
}

func (s *spool) readPosition() (n, offset int64) {
	raw, err := os.ReadFile(s.positionFile())
	if err != nil {
		return 0, 0
	}
	if _, err := fmt.Sscanf(string(raw), "%d %d", &n, &offset); err != nil || n < 0 || n > 1e15 || offset < 0 {
		return 0, 0
	}
	return n, offset
}

func (s *spool) close() {
	if s.tail != nil {
		s.tail.Close()
	}
	s.lock.Close()
}
