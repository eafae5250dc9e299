package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ticksPerSecond is USER_HZ, which Linux has promised user space as 100 on
// every architecture Go runs on.
const ticksPerSecond = 100

// stat is what we use of /proc/PID/stat.
type stat struct {
	comm  string
	state byte
	ppid  int
	cpu   uint64 // ticks, user and system
	start uint64 // ticks since boot
	rss   int64  // pages
}

var errStat = errors.New("not a stat line")

// parseStat reads /proc/PID/stat. The name stands in parentheses and may
// hold blanks and parentheses itself; the last one closes it.
func parseStat(raw []byte) (stat, error) {
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if open < 0 || end < open {
		return stat{}, errStat
	}
	s := stat{comm: clean(string(raw[open+1 : end]))}
	rest := raw[end+1:]
	var err error
	for n := 3; n <= 24; n++ { // fields are numbered as in proc(5)
		var f []byte
		if f, rest = nextField(rest); f == nil {
			return stat{}, errStat
		}
		switch n {
		case 3:
			s.state = f[0]
		case 4:
			s.ppid, err = strconv.Atoi(string(f))
		case 14, 15:
			var t uint64
			t, err = strconv.ParseUint(string(f), 10, 64)
			s.cpu += t
		case 22:
			s.start, err = strconv.ParseUint(string(f), 10, 64)
		case 24:
			s.rss, err = strconv.ParseInt(string(f), 10, 64)
		}
		if err != nil {
			return stat{}, fmt.Errorf("%w: field %d: %w", errStat, n, err)
		}
	}
	return s, nil
}

func nextField(b []byte) (field, rest []byte) {
	b = bytes.TrimLeft(b, " \t\n")
	if len(b) == 0 {
		return nil, nil
	}
	if i := bytes.IndexAny(b, " \t\n"); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}

// maxName bounds a name in bytes. Anybody on the machine may start a process
// with a megabyte for a name, and the service refuses a pass whole.
const maxName = 255

// clean makes a name fit for a label: names come from whoever runs there.
func clean(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxName)], "?")
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// parseStatm returns the resident pages of /proc/PID/statm.
func parseStatm(raw []byte) (int64, error) {
	_, rest := nextField(raw)
	resident, _ := nextField(rest)
	n, err := strconv.ParseInt(string(resident), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("not a statm line: %q", clip(raw))
	}
	return n, nil
}

func clip(raw []byte) []byte { return raw[:min(len(raw), 80)] }

// keyed calls each for every "Key: 123 kB" line (the unit optional, the
// value in bytes), and says whether there was any.
func keyed(raw []byte, each func(key string, v float64)) bool {
	found := false
	for line := range bytes.Lines(raw) {
		key, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		value, unit := nextField(rest)
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil {
			continue
		}
		v := float64(n)
		if bytes.HasPrefix(bytes.TrimLeft(unit, " "), []byte("kB")) {
			v *= 1024
		}
		found = true
		each(string(key), v)
	}
	return found
}

// rollup is what /proc/PID/smaps_rollup tells, in bytes.
type rollup struct{ pss, uss float64 }

func parseRollup(raw []byte) (rollup, error) {
	var r rollup
	seen := 0
	keyed(raw, func(key string, v float64) {
		switch key {
		case "Pss":
			r.pss, seen = v, seen+1
		case "Private_Clean", "Private_Dirty", "Private_Hugetlb":
			r.uss, seen = r.uss+v, seen+1
		}
	})
	if seen < 3 {
		return rollup{}, fmt.Errorf("not a smaps_rollup: %q", clip(raw))
	}
	return r, nil
}

// status is what we use of /proc/PID/status.
type status struct {
	swap    float64 // bytes; NaN for a kernel thread
	nested  bool    // lives in another pid namespace than the reader: a container
	threads int
}

func parseStatus(raw []byte) status {
	s := status{swap: nan}
	keyed(raw, func(key string, v float64) {
		switch key {
		case "VmSwap":
			s.swap = v
		case "Threads":
			s.threads = int(v)
		}
	})
	for line := range bytes.Lines(raw) {
		if pids, ok := bytes.CutPrefix(line, []byte("NSpid:")); ok {
			s.nested = len(bytes.Fields(pids)) > 1
		}
	}
	return s
}
