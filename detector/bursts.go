package detector

import "math"

// inBursts reports whether a curve grows in episodes: at least three times,
// each a sizeable part of the whole and each gradual, with level stretches
// between them and next to nothing ever given back. A trend test wants
// growth everywhere and misses a leak that runs a third of the time; stairs
// rise at once; a random walk gives back.
func inBursts(c curve, w trend, th thresholds) bool {
	return w.growth+w.jumped >= th.burstGrowth*th.material && bursts(c, &w, th)
}

// bursts is inBursts but for the growth, which takes longest to measure.
func bursts(c curve, w *trend, th thresholds) bool {
	if w.to-w.from < th.burstSpan || w.neff < th.burstEvents {
		return false
	}
	h := hourly(c)
	up, down := ups(h)
	if down > th.burstBack*up || up < th.burstGrowth*th.material {
		return false
	}
	episodes, now, quiet, late := 0, 0.0, 0, 0.0
	for i := 1; i < len(h); i++ {
		d := math.Max(h[i]-h[i-1], 0)
		if i > 2*len(h)/3 {
			late += d
		}
		if d > th.burstHour*up {
			now, quiet = now+d, 0
			continue
		}
		if quiet++; quiet == th.burstQuiet {
			if now >= th.burstEach*up {
				episodes++
			}
			now = 0
		}
	}
	if now >= th.burstEach*up {
		episodes++
	}
	return episodes >= th.burstTimes && late >= th.lastThird*up
}

// hourly returns the low quantile of each hour.
func hourly(c curve) []float64 {
	return c.coarse(max(int(c.span()), 8)).lo
}

// ups adds up the rises and the falls.
func ups(y []float64) (up, down float64) {
	for i := 1; i < len(y); i++ {
		up += math.Max(y[i]-y[i-1], 0)
		down += math.Max(y[i-1]-y[i], 0)
	}
	return up, down
}
