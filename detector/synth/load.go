package synth

import (
	"math"
	"math/rand/v2"
)

// loadShape is how much work comes over time, 1 at the mean.
type loadShape struct {
	swing, period, phase float64 // a cycle of that many hours and relative height
	weekend              float64 // share of load that falls away on two days of seven
	trend                float64 // relative growth over the window, none after it
	jitter               float64 // sd of a slow multiplicative noise
}

// loadState is a loadShape being played.
type loadState struct {
	loadShape
	hours, every, noise float64
}

func (l *loadState) at(hour float64, r *rand.Rand) float64 {
	rho := math.Exp(-l.every / 0.5)
	l.noise = rho*l.noise + l.jitter*math.Sqrt(1-rho*rho)*r.NormFloat64()
	f := math.Exp(l.noise) * (1 + l.trend*min(hour/l.hours, 1))
	if l.period > 0 {
		f *= 1 + l.swing*math.Sin(2*math.Pi*(hour/l.period+l.phase))
	}
	if day := int(hour/24) % 7; l.weekend > 0 && day >= 5 {
		f *= 1 - l.weekend
	}
	return max(f, 0.02)
}
