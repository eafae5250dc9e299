package sample

import "strings"

const (
	processPrefix = "dropleak_process_"
	memoryName    = "dropleak_process_memory_bytes"
)

// Living leaves out what foreign series, already under our names, tell of
// processes that are gone. process-exporter goes on naming such a group, with
// zero bytes: a process that holds no memory is missing, not small. What is
// not memory, as a start time, is kept only beside memory of the same moment.
// Series without points left are left out.
func Living(series []Series) []Series {
	alive := map[string]map[int64]bool{}
	for _, s := range series {
		if s.Name() != memoryName || s.Get("kind") != "rss" {
			continue
		}
		of := alive[processOf(s)]
		if of == nil {
			of = map[int64]bool{}
			alive[processOf(s)] = of
		}
		for _, p := range s.Points {
			of[p.At] = p.V > 0
		}
	}
	out := make([]Series, 0, len(series))
	for _, s := range series {
		if strings.HasPrefix(s.Name(), processPrefix) {
			s.Points = s.living(alive[processOf(s)])
		}
		if len(s.Points) > 0 {
			out = append(out, s)
		}
	}
	return out
}

func (s Series) living(alive map[int64]bool) []Point {
	var out []Point
	for _, p := range s.Points {
		lives, known := alive[p.At]
		if lives || !known && s.Name() == memoryName || IsStale(p.V) {
			out = append(out, p)
		}
	}
	return out
}

// processOf tells processes apart, also before the droplet is known.
func processOf(s Series) string {
	return strings.Join([]string{s.Get("droplet"), s.Get("instance"), s.Get("worker"), s.Get("slot")}, "\x00")
}
