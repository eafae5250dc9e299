package sample

import "fmt"

// Encode turns a pass into remote-write series with one point each, under
// the names and labels that DESIGN fixes (`dropleak_process_memory_bytes`
// and its siblings). What was not measured is left out, never sent as zero.
//
// A process without a slot is left out too: without one, two processes of a
// worker would be the same series. [Slots] hands slots out. PPID does not
// travel; the role says what it is for.
func Encode(p Pass) []Series {
	var out []Series
	for i := range p.Processes {
		out = encodeProcess(out, &p.Processes[i])
	}
	for i := range p.Workers {
		out = encodeWorker(out, &p.Workers[i])
	}
	if d := p.Droplet; d != nil {
		out = appendFields(out, dropletFields, d, d.At.UnixMilli(), "droplet", d.Droplet)
	}
	for _, o := range p.Others {
		if Measured(o.Memory) {
			out = append(out, Series{
				Labels: labels(MetricName, nameOther, "droplet", o.Droplet, "name", o.Name),
				Points: []Point{{o.At.UnixMilli(), o.Memory}},
			})
		}
	}
	return out
}

func encodeProcess(out []Series, p *Process) []Series {
	if p.Slot == "" {
		return out
	}
	return appendFields(out, processFields, p, p.At.UnixMilli(),
		"droplet", p.Droplet, "worker", p.Worker, "slot", p.Slot, "role", p.Role)
}

func encodeWorker(out []Series, w *Worker) []Series {
	at := w.At.UnixMilli()
	out = append(out, Series{
		Labels: labels(MetricName, nameInfo, "droplet", w.Droplet, "worker", w.Worker,
			"node", w.Node, "pool", w.Pool, "app", w.App, "unit", w.Unit, "manager", w.Manager),
		Points: []Point{{at, 1}},
	})
	return appendFields(out, workerFields, w, at, "droplet", w.Droplet, "worker", w.Worker)
}

func appendFields[T any](out []Series, fields []field[T], record *T, at int64, pairs ...string) []Series {
	for _, f := range fields {
		v := f.get(record)
		if !Measured(v) {
			continue
		}
		out = append(out, Series{
			Labels: labels(append([]string{MetricName, f.name, "kind", f.kind}, pairs...)...),
			Points: []Point{{at, v}},
		})
	}
	return out
}

// Validate reports the first thing that makes a pass no pass: records at
// different times, or two processes of one worker in one slot.
func (p Pass) Validate() error {
	at, ok := p.At()
	if !ok {
		return nil
	}
	seen := map[[3]string]bool{}
	for _, r := range p.Processes {
		key := [3]string{r.Droplet, r.Worker, r.Slot}
		if !r.At.Equal(at) {
			return fmt.Errorf("pass at %s holds worker %q pid %d read at %s", at, r.Worker, r.PID, r.At)
		}
		if r.Slot != "" && seen[key] {
			return fmt.Errorf("pass at %s holds slot %s of worker %q twice", at, r.Slot, r.Worker)
		}
		seen[key] = true
	}
	return nil
}
