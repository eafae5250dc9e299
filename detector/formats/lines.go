package formats

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one line; command lines of ps reach 128 KiB.
const maxLine = 256 << 10

// lines reads text line by line; a line longer than the bound is skipped and
// said, so that no file can make the reader hold more.
type lines struct {
	in   *bufio.Reader
	text string
	n    int
	cut  bool // the line has no end; it is the last
	long func(line int)
	err  error
}

func newLines(in io.Reader, long func(line int)) *lines {
	return &lines{in: bufio.NewReaderSize(in, maxLine), long: long}
}

// next goes to the next line; false at the end or on an error.
func (l *lines) next() bool {
	for {
		b, err := l.in.ReadSlice('\n')
		if len(b) == 0 && err != nil {
			l.end(err)
			return false
		}
		l.n++
		if errors.Is(err, bufio.ErrBufferFull) {
			l.long(l.n)
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = l.in.ReadSlice('\n')
			}
			if err != nil {
				l.end(err)
				return false
			}
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			l.end(err)
			return false
		}
		l.cut = err != nil
		for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
			b = b[:len(b)-1]
		}
		l.text = string(b)
		return true
	}
}

func (l *lines) end(err error) {
	if !errors.Is(err, io.EOF) {
		l.err = fmt.Errorf("read line %d: %w", l.n+1, err)
	}
}

// tooLong notes a line that was skipped.
func (r *Reading) tooLong(line int) {
	r.note(line, "the line is longer than %d KiB and not read", maxLine>>10)
}
