package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

// program is one worker as the supervisor knows it.
type program struct {
	Name string
	Seed uint64
	Base int64   // bytes it needs for its work
	Leak float64 // bytes per second it never gives back
	Held int64   // bytes it takes at once when it starts
}

const mib = 1 << 20

// most is what a leaking worker never exceeds: a demo must not hurt the
// machine of whoever leaves it running. On the way there, from easy on, it
// leaks slower and slower.
const (
	most = 480 * mib
	easy = 320 * mib
)

// programs are the workers of the droplet, the leaking one first.
func programs() []program {
	return []program{
		{Name: leaker, Seed: 1, Base: 24 * mib, Leak: 1.5 * mib},
		{Name: "video", Seed: 2, Base: 40 * mib},
		{Name: "thumbs", Seed: 3, Base: 16 * mib},
	}
}

// argv is the command line under which Celery would run it.
func (p program) argv() []string {
	return []string{"celery", "-A", "shop", "worker", "-n", p.Name + "@" + dropletName, "-P", "solo", "-Q", p.Name}
}

// playWorker works and leaks until it is told to stop.
func playWorker(ctx context.Context, settings string) error {
	var p program
	if err := json.Unmarshal([]byte(settings), &p); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	h := &heap{}
	defer h.free()
	if err := h.grow(p.Base + p.Held); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(p.Seed, uint64(os.Getpid())))
	task := time.NewTicker(100 * time.Millisecond)
	defer task.Stop()
	owed := 0.0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-task.C:
		}
		work(4 * time.Millisecond)
		// A task in three leaks what three would: real leaks are not smooth.
		if rng.IntN(3) == 0 {
			owed += 3 * 0.1 * p.Leak * braked(h.held)
		}
		if err := h.grow(int64(owed)); err != nil {
			return err
		}
		owed -= float64(int64(owed))
	}
}

// braked is 1 up to easy, and nears 0 towards most.
func braked(held int64) float64 {
	return min(1, max(0, float64(most-held)/(most-easy)))
}

// work spends CPU time.
func work(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

// heap is memory outside the Go heap: resident to the byte as it is asked
// for, with no collector to move it.
type heap struct {
	chunks [][]byte
	rest   []byte // of the last chunk, not yet touched
	held   int64
}

const chunk = 4 * mib

// grow touches n more bytes.
func (h *heap) grow(n int64) error {
	page := int64(os.Getpagesize())
	for n > 0 {
		if len(h.rest) == 0 {
			b, err := syscall.Mmap(-1, 0, chunk, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
			if err != nil {
				return fmt.Errorf("map %d bytes: %w", chunk, err)
			}
			h.chunks, h.rest = append(h.chunks, b), b
		}
		take := min(n, int64(len(h.rest)))
		for i := int64(0); i < take; i += page {
			h.rest[i] = 1
		}
		h.rest = h.rest[take:]
		h.held += take
		n -= take
	}
	return nil
}

// free gives everything back.
func (h *heap) free() {
	for _, b := range h.chunks {
		_ = syscall.Munmap(b) // the process ends
	}
	h.chunks, h.rest, h.held = nil, nil, 0
}
