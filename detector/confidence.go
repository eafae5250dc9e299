package detector

import "math"

// confidence is how sure the verdict is, 0..1.
func confidence(v Verdict, b *bench) float64 {
	switch v.Kind {
	case Leak:
		best := 0.0
		for _, p := range b.procs {
			if p.alive && p.kind == Leak {
				best = math.Max(best, p.win.z)
			}
		}
		return clamp(0.9+0.01*(best-4), 0.9, 0.99)
	case LeakMasked:
		return 0.9
	case Unsure:
		return 0.5
	}
	return 0.9
}
