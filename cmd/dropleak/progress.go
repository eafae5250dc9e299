package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/detector/formats"
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

// watch has the reading of a source told too: one file may be long by itself.
func (p *progress) watch(s formats.Source) formats.Source {
	if p.talk == nil {
		return s
	}
	s.Files = slices.Clone(s.Files)
	for i, f := range s.Files {
		s.Files[i].Open = func() (io.ReadCloser, error) {
			in, err := f.Open()
			return &watched{ReadCloser: in, p: p, path: f.Path}, err
		}
	}
	return s
}

// watched is a file whose reading is told.
type watched struct {
	io.ReadCloser
	p    *progress
	path string
	read int
	told time.Time
}

// Read reads on, and says how much at most ten times a second.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	w.read += n
	if now := time.Now(); now.Sub(w.p.begun) >= time.Second && now.Sub(w.told) >= time.Second/10 {
		w.told, w.p.shown = now, true
		fmt.Fprintf(w.p.talk, "\r\x1b[K%d of %d  %s: %s read", w.p.at, w.p.total, printable(w.path), report.Bytes(float64(w.read)))
	}
	return n, err
}

func (p *progress) done() {
	if p.shown {
		fmt.Fprint(p.talk, "\r\x1b[K")
	}
}
