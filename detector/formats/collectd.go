package formats

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// A tree of collectd's csv plugin is HOST/PLUGIN[-INSTANCE]/TYPE[-INSTANCE]-DATE
// with a header "epoch,…" and rows of seconds since 1970 and values.

// collectdFile is what a file's place in the tree says.
type collectdFile struct {
	host, plugin, instance string
	kind, part             string // type and type instance
}

var collectdName = regexp.MustCompile(`^(.+?)(?:-(.+?))?(?:-\d{4}-\d{2}-\d{2})?$`)

func collectdPlace(path string) collectdFile {
	path = strings.TrimSuffix(path, ".gz")
	dir := filepath.Dir(path)
	f := collectdFile{host: filepath.Base(filepath.Dir(dir))}
	f.plugin, f.instance, _ = strings.Cut(filepath.Base(dir), "-")
	if m := collectdName.FindStringSubmatch(filepath.Base(path)); m != nil {
		f.kind, f.part = m[1], m[2]
	}
	return f
}

// collectd gathers one host's files.
type collectd struct {
	Reading
	processes map[collectdKey]*sample.Process
	memory    map[int64]map[string]float64
	host      string
	skipped   int
	points    int
}

type collectdKey struct {
	worker string
	at     int64
}

// readCollectd reads the files of one host: of the plugin processes ps_rss
// (and CPU time) as a worker a plugin instance, and memory.
func readCollectd(files []File) (Reading, error) {
	c := collectd{processes: map[collectdKey]*sample.Process{}, memory: map[int64]map[string]float64{}}
	for _, f := range files {
		place := collectdPlace(f.Path)
		c.host = place.host
		switch {
		case place.plugin == "processes" && place.instance != "" && (place.kind == "ps_rss" || place.kind == "ps_cputime"),
			place.plugin == "memory" && place.kind == "memory":
			if err := c.file(f, place, len(files) > 1); err != nil {
				c.note(0, "%s: %s", filepath.Base(f.Path), err)
			}
		default:
			c.skipped++
		}
	}
	if c.skipped > 0 {
		c.note(0, "%d files of other plugins and types are not read", c.skipped)
	}
	c.settle()
	return c.done()
}

func (c *collectd) file(f File, place collectdFile, several bool) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	say := func(line int, text string) {
		if several {
			c.note(line, "%s: %s", filepath.Base(f.Path), text)
		} else {
			c.note(line, "%s", text)
		}
	}
	l := newLines(in, func(n int) { say(n, "the line is too long and not read") })
	for l.next() {
		if strings.HasPrefix(l.text, "epoch") || strings.TrimSpace(l.text) == "" {
			continue
		}
		if err := c.row(place, l.text); err != nil {
			say(l.n, err.Error())
		}
	}
	return errors.Join(l.err, in.Close())
}

func (c *collectd) row(place collectdFile, line string) error {
	cells := strings.Split(line, ",")
	var v [3]float64
	for i := range min(len(cells), len(v)) {
		n, err := strconv.ParseFloat(strings.TrimSpace(cells[i]), 64)
		if err != nil || math.IsInf(n, 0) || n < 0 || n > 1<<60 {
			return fmt.Errorf("%.40q is no row of collectd", line)
		}
		v[i] = n
	}
	if len(cells) < 2 || v[0] > farthest {
		return fmt.Errorf("%.40q is no row of collectd", line)
	}
	if c.points++; c.points > maxPoints {
		return errTooMuch
	}
	if math.IsNaN(v[0]) || math.IsNaN(v[1]) {
		return nil // collectd writes nan where it could not read
	}
	at := sample.RoundCollectd(atSeconds(v[0]))
	switch place.kind {
	case "ps_rss":
		if v[1] > 0 { // else nobody of that name is there
			c.process(place.instance, at).RSS = v[1]
		}
	case "ps_cputime":
		c.process(place.instance, at).CPU = (v[1] + v[2]) / 1e6
	case "memory":
		if c.memory[at] == nil {
			c.memory[at] = map[string]float64{}
		}
		c.memory[at][place.part] = v[1]
	}
	return nil
}

func (c *collectd) process(worker string, at int64) *sample.Process {
	key := collectdKey{worker, at}
	if c.processes[key] == nil {
		p := unmeasured(time.UnixMilli(at).UTC(), worker)
		p.Droplet, p.Slot = c.host, sample.SlotGroup
		c.processes[key] = &p
	}
	return c.processes[key]
}

// settle lists what was gathered in order of time.
func (c *collectd) settle() {
	for _, p := range c.processes {
		if measured(*p) {
			c.Processes = append(c.Processes, *p)
		}
	}
	slices.SortFunc(c.Processes, func(a, b sample.Process) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Worker, b.Worker))
	})
	estimated := false
	for ms, parts := range c.memory {
		d, guess, ok := sample.CollectdMemory(parts)
		d.At, d.Droplet = time.UnixMilli(ms).UTC(), c.host
		if estimated = estimated || guess; ok {
			c.Droplets = append(c.Droplets, d)
		}
	}
	slices.SortFunc(c.Droplets, func(a, b sample.Droplet) int { return a.At.Compare(b.At) })
	if estimated {
		c.note(0, "available memory is estimated as free + buffered + cached + reclaimable slab")
	}
}
