package detector

import "math"

// certainty is the log-odds that a window which looks like a leak is one: a
// logistic score, monotone in each of what it adds up. Growth that is no
// warm-up by pace and age counts, and growth clear of its own scatter; one
// that fills the life of its process; and a bend that is well measured,
// because a straight line too noisy to show a bend is no straight line, nor is
// one that shows it.
//
// Each gate before this one asks whether growth may be a leak. What passed
// them falsely on made series mostly passed several of them narrowly, which
// only their sum can tell.
//
// Source: D. R. Cox, The regression analysis of binary sequences, J. Royal
// Statistical Society B 20 (1958). The weights are fitted, see options.
func (o *opinion) certainty(s setting, th thresholds) float64 {
	w := o.win
	clear := w.growth / math.Max(w.sigma, th.sureSigma)
	return th.sureAt -
		th.surePace*math.Log(clamp(o.warm, 1e-3, 1e3)) +
		th.sureClear*math.Log(clamp(clear, 2, 200)) +
		th.sureLong*math.Log(clamp((w.to-w.from)/math.Max(s.age, 1), 0.05, 1)) -
		th.sureBend*math.Log(clamp(o.bends.spread(), 0.01, 0.5))
}

// certain reports whether that is enough. Of what is a day old less is
// asked: what passes has mostly passed by then.
func (o *opinion) certain(s setting, th thresholds) bool {
	if s.age >= th.warmDay {
		return o.certainty(s, th) >= th.sureOld
	}
	return o.certainty(s, th) >= th.sure
}

// stood is for how many of the hours asked a leak has been one: of twice as
// many looks before, an hour apart, so many said so. All that is asked where
// it is beyond doubt. Growth that passes falsely does so for a look or two,
// while a leak's evidence only mounts, if not at each look.
func (o *opinion) stood(c curve, s setting, th thresholds) float64 {
	asked := th.patience
	if asked <= 0 || o.certainty(s, th) >= th.sureAlone {
		return asked
	}
	th.patience = 0
	stood := 0.0
	for h := 1.0; h <= 2*asked && stood < asked; h++ {
		before := s
		before.age -= h
		if assess(c.until(c.t[c.len()-1]-h), before, th).kind == Leak {
			stood++
		}
	}
	return math.Min(stood, asked)
}

// spread is by how much the growth bends down, or may, over work, or over time
// where work was not measured: the bend itself or its standard error, whichever is
// more.
func (b bends) spread() float64 {
	if math.IsInf(b.work.se, 1) {
		return math.Max(b.clock.se, -b.clock.by)
	}
	return math.Max(b.work.se, -b.work.by)
}

// hoursUntilCertain is how much longer the same growth must go on before it is
// a leak beyond doubt. Its scatter stays; the error of its bend falls with the
// length of the window and the square root of how many readings that holds.
func (o *opinion) hoursUntilCertain(s setting, th thresholds) float64 {
	const step, most = 0.5, 72
	h := step
	for ; h < most; h += step {
		later, then := *o, s
		then.age += h
		later.win.to += h
		later.win.growth += h * o.win.fit.slope
		better := math.Pow((o.win.to-o.win.from)/(later.win.to-later.win.from), 1.5)
		later.bends.work.se *= better
		later.bends.clock.se *= better
		later.warm = warmUpOdds(later.win, o.bends, then, th)
		if later.certain(then, th) {
			break
		}
	}
	return h
}
