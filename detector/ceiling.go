package detector

import "math"

// throttle corrects a verdict that a ceiling made: memory that stands at
// MemoryHigh or the limit, or is under pressure, does not show its growth.
func (b *bench) throttle(v *Verdict) {
	ceiling, _ := b.ceiling()
	atCeiling := ceiling > 0 && v.Footprint >= b.th.throttle*ceiling
	b.down = atCeiling
	pressed := b.pressure() >= b.th.pressure
	switch {
	case v.Kind.Leaks() && atCeiling && b.level():
		v.Reason = ReasonThrottled
	case v.Kind.Leaks():
	case atCeiling || pressed:
		v.Kind, v.Reason, v.HoursNeeded = Unsure, ReasonThrottled, ptr(b.th.minSpan) // of room to grow
		if b.leakedBelow(b.th.throttle * ceiling) {
			v.Kind, v.HoursNeeded = Leak, nil
		}
		v.Confidence = confidence(*v, b)
	case b.sum.Limit.Bytes > 0 && v.Footprint >= b.th.threshold*b.sum.Limit.Bytes:
		v.Reason = ReasonThreshold
	}
}

// ceiling is the line that memory is held down at, 0 for none, and its name.
func (b *bench) ceiling() (bytes float64, name string) {
	if limit := b.sum.Limit.Bytes; limit > 0 && !(b.sum.High > 0 && b.sum.High < limit) {
		return limit, "the limit (" + b.sum.Limit.Source + ")"
	}
	return b.sum.High, "MemoryHigh"
}

// level reports whether the sum has stopped growing of late.
func (b *bench) level() bool {
	c := b.steady().since(b.now - b.th.levelHours)
	return c.len() >= 6 && senLine(c.t, c.lo).slope*b.th.levelHours < b.th.material
}

// pressure is the mean share of time stalled on memory in the last hour.
func (b *bench) pressure() float64 {
	sum, n := 0.0, 0
	for _, p := range b.sum.Pressure {
		if h := hours(p.At.UnixNano() - b.origin); h > b.now-1 && h <= b.now && p.V >= 0 {
			sum += p.V
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// hurry calls what looks like a leak one at once where less than an hour would
// be left to the limit once it had shown that it stands.
func (b *bench) hurry() {
	limit, pace := b.sum.Limit.Bytes, 0.0
	for _, p := range b.procs {
		if p.alive && (p.fresh || p.kind == Leak) {
			pace += p.win.fit.slope
		}
	}
	if limit <= 0 || b.footprint()+(b.th.patience+b.th.headStart)*pace < limit {
		return
	}
	for i := range b.procs {
		if p := &b.procs[i]; p.fresh {
			p.kind, p.reason, p.fresh, p.need = Leak, ReasonLeak, false, 0
		}
	}
}

// leakedBelow reports whether the worker's sum leaked until it reached the
// ceiling.
func (b *bench) leakedBelow(ceiling float64) bool {
	all, th := b.steady(), b.th
	th.patience = 0 // that it stood there is no doubt any more
	for i, y := range all.lo {
		if y >= ceiling {
			c := all.slice(0, i)
			return c.len() > 0 && assess(c, setting{age: c.span(), quiet: math.NaN()}, th).kind == Leak
		}
	}
	return false
}
