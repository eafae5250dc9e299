package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress tells a person at a terminal how far long work is. It is silent
// when talk is no terminal, or the work is short.
type progress struct {
	talk  io.Writer
	total int
	at    int
	begun time.Time
	shown bool
}

func newProgress(talk io.Writer, total int) *progress {
	p := &progress{total: total, begun: time.Now()}
	if f, ok := talk.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.talk = talk
		}
	}
	return p
}

func (p *progress) step(what string) {
	p.at++
	if p.talk == nil || p.total < 2 || time.Since(p.begun) < time.Second {
		return
	}
	p.shown = true
	fmt.Fprintf(p.talk, "\r\x1b[K%d of %d  %s", p.at, p.total, printable(what))
}

func (p *progress) done() {
	if p.shown {
		fmt.Fprint(p.talk, "\r\x1b[K")
	}
}
