package detector

import "math"

// confidence is how often verdicts like this one turned out right, on made
// series judged at every tenth of their length (seeds 101 to 105 of every
// family), shrunk towards a half. A healthy verdict on a young worker is
// wrong more often: many leaks have not shown by then.
func confidence(v Verdict, b *bench) float64 {
	old := b.now > 24
	switch v.Kind {
	case Leak:
		odds := 1.0
		for _, p := range b.procs {
			if p.alive && p.kind == Leak {
				odds = math.Min(odds, p.warm)
			}
		}
		if old {
			return 0.98
		}
		return clamp(0.97-0.3*odds, 0.8, 0.97)
	case LeakMasked:
		return 0.97
	case Unsure:
		return 0.5
	}
	pair, ok := healthyRight[v.Reason]
	if !ok {
		pair = [2]float64{0.85, 0.9}
	}
	if old {
		return pair[1]
	}
	return pair[0]
}

// healthyRight is the share of right healthy verdicts by reason: before and
// after the worker has been watched for a day.
var healthyRight = map[Reason][2]float64{
	ReasonFlat:      {0.93, 0.97},
	ReasonBounded:   {0.95, 0.97},
	ReasonStep:      {0.95, 0.97},
	ReasonNoise:     {0.62, 0.94},
	ReasonStaircase: {0.68, 0.72},
	ReasonWarmUp:    {0.77, 0.92},
	ReasonSeasonal:  {0.7, 0.9},
	ReasonLoad:      {0.7, 0.85},
}
