package detector

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// warmUpOdds are the odds, against a leak, that growth this straight, this
// fast and this young is a working set still filling. Nothing in the curve
// of the first hours tells the two apart, but their sizes do: a warm-up ends
// when what the code needs is loaded. Its size M and its duration T are
// log-normal, so its pace M/T is too; given the pace, T must still lie ahead
// of the process's age. A leak's pace is log-normal and wide. Growth by a
// few MiB an hour, kept up for three hours, is a leak because a warm-up that
// slow would have to last for days; growth by ten is a warm-up until it has
// lasted longer than those do.
//
// A child that gets a fraction of the tasks warms up that much more slowly,
// so pace and age are told in its busiest sibling's hours.
//
// Source: Bayes' rule on two log-normal models of our own, fitted to the
// recordings (see options).
func warmUpOdds(w trend, b bends, s setting, th thresholds) float64 {
	if w.fit.slope <= 0 {
		return math.Inf(1)
	}
	odds := paceOdds(w, s, 1, th)
	if s.lag > 1 {
		odds = math.Max(odds, paceOdds(w, s, s.lag, th))
	}
	if s.age/math.Max(s.lag, 1) >= th.warmLongest && math.Max(b.work.by, b.clock.by) > -th.bendLeak {
		odds *= th.warmLate
	}
	odds = (odds + th.passing*s.chances(w, th)) * b.odds(th) * w.pieces(th)
	if s.odds > 0 {
		odds *= s.odds
	}
	if !math.IsNaN(s.quiet) && s.quiet < th.quietShare*w.growth {
		odds *= th.warmQuiet
	}
	return odds
}

// sureBelow are the odds below which one look is enough. What passes has
// mostly passed within a day.
func (th thresholds) sureBelow(age float64) float64 {
	if age >= th.warmDay {
		return th.warmSureOld
	}
	return th.warmSure
}

// pieces are the odds, against a leak, that growth comes in so few pieces as
// this did. A leak leaves something with every call; what passes comes from
// few causes, each with a share one can see.
func (w *trend) pieces(th thresholds) float64 {
	return math.Max(math.Pow(th.pieces/math.Max(w.neff, 1), th.piecesPower), th.piecesLeast)
}

// chances is how many times as often as one chance growth that passes may
// have come by this window: a life has room for as many windows of its length,
// each a test of its own, and a load that rose in it and memory with it is a
// cause at hand.
func (s setting) chances(w trend, th thresholds) float64 {
	n := math.Max(s.age/(w.to-w.from), 1)
	if s.loaded {
		n *= th.loadOdds
	}
	return n
}

// paceOdds are the odds from pace and age alone, told in the hours of a
// process that works lag times as much.
func paceOdds(w trend, s setting, lag float64, th thresholds) float64 {
	age := math.Max(math.Max(s.age, w.to-w.from)/lag, 0.1)
	logPace := math.Log(w.fit.slope * lag)
	v := th.warmSigma*th.warmSigma + th.warmSpread*th.warmSpread
	mu := math.Log(th.warmBytes / th.warmHours)
	if s.arenas {
		th.warmHours *= th.arenaHours
		mu = math.Log(th.warmBytes * th.arenaBytes / th.warmHours)
	}
	warm := distuv.Normal{Mu: mu, Sigma: math.Sqrt(v)}
	leak := distuv.Normal{Mu: math.Log(th.leakPace), Sigma: th.leakSigma}
	lasting := distuv.Normal{
		Mu:    math.Log(th.warmHours) - th.warmSpread*th.warmSpread/v*(logPace-mu),
		Sigma: th.warmSigma * th.warmSpread / math.Sqrt(v),
	}
	return warm.Prob(logPace) / leak.Prob(logPace) * lasting.Survival(math.Log(age))
}

// hoursUntilNotWarm is how much longer the same growth must go on before a
// warm-up is ruled out.
func hoursUntilNotWarm(w trend, b bends, s setting, th thresholds) float64 {
	const step, most = 0.5, 72
	h := 0.0
	for h < most {
		h += step
		s.age += step
		if warmUpOdds(w, b, s, th) <= th.warmMax {
			break
		}
	}
	return h
}
