package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, dir string, bound int64) *spool {
	t.Helper()
	s, err := openSpool(dir, bound)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// drain takes all that waits and marks it delivered.
func drain(s *spool) []string {
	var out []string
	for body := s.next(); body != nil; body = s.next() {
		out = append(out, strings.TrimRight(string(body), "."))
		s.done(body)
	}
	return out
}

func fill(t *testing.T, s *spool, from, to, size int) {
	t.Helper()
	for i := from; i < to; i++ {
		must(t, s.append([]byte(fmt.Sprintf("%04d%s", i, strings.Repeat(".", size)))))
	}
}

func span(from, to int) string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("%04d", i))
	}
	return fmt.Sprint(out)
}

func TestSpoolKeepsOrderOverRestarts(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 64<<20)
	fill(t, s, 0, 30, 10)
	for range 10 {
		s.done(s.next())
	}
	// As kill -9 leaves it: nothing is closed but what the kernel closes.
	s.lock.Close()
	s = open(t, dir, 64<<20)
	if n, lost := s.waiting(); n != 20 || lost != 0 {
		t.Errorf("%d waiting, %d lost; want 20, 0", n, lost)
	}
	fill(t, s, 30, 35, 10)
	if got := fmt.Sprint(drain(s)); got != span(10, 35) {
		t.Errorf("drained %s, want 10 to 34 in order", got)
	}
	if n, _ := s.waiting(); n != 0 {
		t.Errorf("%d wait in an empty spool", n)
	}
}

func TestSpoolTornTail(t *testing.T) {
	for _, cut := range []int64{1, 5, 9, 12} {
		dir := t.TempDir()
		s := open(t, dir, 64<<20)
		fill(t, s, 0, 3, 4)
		s.close()
		segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
		must(t, err)
		name := segments[len(segments)-1]
		info, err := os.Stat(name)
		must(t, err)
		must(t, os.Truncate(name, info.Size()-cut))
		s = open(t, dir, 64<<20)
		if _, lost := s.waiting(); lost != 1 {
			t.Errorf("cut by %d: %d lost said, want 1", cut, lost)
		}
		s.close()
		s = open(t, dir, 64<<20)
		if _, lost := s.waiting(); lost != 0 {
			t.Errorf("cut by %d: the same loss is said twice", cut)
		}
		fill(t, s, 3, 5, 4)
		if got := fmt.Sprint(drain(s)); got != "[0000 0001 0003 0004]" {
			t.Errorf("cut by %d: drained %s", cut, got)
		}
	}
}

func TestSpoolDamagedRecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 64<<20)
	fill(t, s, 0, 3, 4)
	f, err := os.OpenFile(s.path(s.segments[len(s.segments)-1].n), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("XX"), recordHead+2) // in the first body
	must(t, err)
	f.Close()
	if body := s.next(); body != nil {
		t.Errorf("a damaged record was handed out: %q", body)
	}
	if _, lost := s.waiting(); lost != 3 {
		t.Errorf("%d lost said, want the 3 behind the damage", lost)
	}
	fill(t, s, 3, 4, 4)
	if got := fmt.Sprint(drain(s)); got != "[0003]" {
		t.Errorf("drained %s", got)
	}
}

func TestSpoolBound(t *testing.T) {
	dir := t.TempDir()
	const bound = 1 << 20
	s := open(t, dir, bound)
	fill(t, s, 0, 3000, 1000)
	n, lost := s.waiting()
	if n+lost != 3000 || lost == 0 || n < 900 {
		t.Errorf("%d waiting and %d lost of 3000", n, lost)
	}
	var size int64
	segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	must(t, err)
	for _, name := range segments {
		info, err := os.Stat(name)
		must(t, err)
		size += info.Size()
	}
	if size > bound {
		t.Errorf("%d bytes on disk, bound %d", size, bound)
	}
	got := drain(s)
	if len(got) != n || got[len(got)-1] != "2999" || got[0] != fmt.Sprintf("%04d", 3000-n) {
		t.Errorf("kept %d from %s to %s, want the newest %d", len(got), got[0], got[len(got)-1], n)
	}
}

func TestSpoolTakesNothingLargerThanItself(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	fill(t, s, 0, 2, 1000)
	if err := s.append(make([]byte, 1<<20)); err == nil || !strings.Contains(err.Error(), "1048568") {
		t.Errorf("a pass larger than the bound: %v", err)
	}
	if n, lost := s.waiting(); n != 2 || lost != 1 {
		t.Errorf("%d waiting, %d lost; want 2, 1", n, lost)
	}
}

// TestSpoolOnAFullDisk: the droplet's disk is full, the service is there.
func TestSpoolOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	fill(t, s, 0, 2, 1000)
	must(t, s.tail.Close()) // nothing can be written any more
	for i := 2; i < 1500; i++ {
		if err := s.append([]byte(fmt.Sprintf("%04d%s", i, strings.Repeat(".", 1000)))); err == nil {
			t.Fatal("a write that failed is not told")
		}
	}
	n, lost := s.waiting()
	if n+lost != 1500 || lost == 0 || n < 1000 {
		t.Errorf("%d waiting and %d lost of 1500", n, lost)
	}
	got := drain(s)
	if len(got) != n || got[0] != "0000" || got[1] != "0001" || got[2] != fmt.Sprintf("%04d", 1500-n+2) || got[n-1] != "1499" {
		t.Errorf("shipped %d: %s … %s, want what is on disk and then the newest", len(got), got[:3], got[len(got)-1])
	}
	s.tail = nil
	must(t, s.roll()) // there is room again
	fill(t, s, 1500, 1502, 10)
	if got := fmt.Sprint(drain(s)); got != span(1500, 1502) {
		t.Errorf("afterwards %s", got)
	}
}

// TestSpoolRollsAgain: a segment that was begun and could not be made sure of
// is not in the way of the next try.
func TestSpoolRollsAgain(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	fill(t, s, 0, 1, 10)
	n := s.segments[len(s.segments)-1].n + 1
	s.syncDir = func(string) error { return os.ErrInvalid }
	if err := s.roll(); err == nil {
		t.Fatal("a segment that is not sure was taken")
	}
	if _, err := os.Stat(s.path(n)); !os.IsNotExist(err) {
		t.Errorf("it was left at %s: %v", s.path(n), err)
	}
	s.syncDir = syncDir
	must(t, s.roll())
}

// TestSpoolSegmentsDeleted: whoever makes room by hand and leaves the position
// loses what was deleted, and nothing that came after.
func TestSpoolSegmentsDeleted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	fill(t, s, 0, 140, 1000)
	for range 130 {
		s.done(s.next())
	}
	s.close()
	if n, _ := s.readPosition(); n < 2 {
		t.Fatalf("the position is still in segment %d", n)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	must(t, err)
	for _, name := range names {
		must(t, os.Remove(name))
	}
	s = open(t, dir, 1<<20)
	fill(t, s, 300, 310, 1000)
	s.close()
	if got := len(drain(open(t, dir, 1<<20))); got != 10 {
		t.Errorf("%d records of 10 are still there", got)
	}
}

func TestSpoolDoneAfterDrop(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	fill(t, s, 0, 1, 1000)
	sent := s.next()
	fill(t, s, 1, 3000, 1000) // what was being sent is dropped meanwhile
	before, _ := s.waiting()
	s.done(sent)
	if after, _ := s.waiting(); after != before {
		t.Errorf("a record never sent was marked delivered: %d waiting, were %d", after, before)
	}
}

func TestSpoolOneAgentOnly(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, 1<<20)
	if _, err := openSpool(dir, 1<<20); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("a second agent on the spool: %v", err)
	}
}

func FuzzSpoolSegment(f *testing.F) {
	f.Add([]byte{4, 0, 0, 0, 1, 2, 3, 4, 'a', 'b', 'c', 'd'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "000000000007.seg"), raw, 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "position"), raw, 0o600))
		s, err := openSpool(dir, 1<<20)
		if err != nil {
			t.Fatalf("foreign bytes keep the agent from starting: %v", err)
		}
		defer s.close()
		drain(s)
		must(t, s.append([]byte("x")))
		if got := fmt.Sprint(drain(s)); got != "[x]" {
			t.Errorf("drained %s", got)
		}
	})
}
