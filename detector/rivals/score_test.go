package rivals

import (
	"math"
	"slices"

	"github.com/dropleak/dropleak/detector"
)

// score counts how one way of judging did on some subjects. A leak is found
// by the first alarm after the code began to leak; an alarm on a healthy
// subject, or before that, is false.
type score struct {
	leaks, found     int
	healthy, falsely int
	early            int       // leaks with an alarm before they began
	delays           []float64 // hours from onset to first alarm, +Inf where never
	months           float64   // watched without a leak
	episodes         int       // times a false alarm began
}

func (c *score) add(s subject, looks []look) {
	if s.leaks {
		c.leaks++
	} else {
		c.healthy++
	}
	delay, wrong, was := math.Inf(1), false, false
	for _, l := range looks {
		right := s.leaks && !l.at.Before(s.started)
		switch {
		case l.alarm && right:
			delay = min(delay, max(0, l.at.Sub(s.onset).Hours()))
		case l.alarm:
			wrong = true
			if !was {
				c.episodes++
			}
		}
		was = l.alarm
	}
	clean := s.end
	if s.leaks {
		c.delays = append(c.delays, delay)
		clean = s.started
		if !math.IsInf(delay, 1) {
			c.found++
		}
		if wrong {
			c.early++
		}
	} else if wrong {
		c.falsely++
	}
	c.months += max(0, clean.Sub(s.begin).Hours()) / (365.25 * 24 / 12)
}

// merge adds the other score.
func (c *score) merge(o *score) {
	c.leaks, c.found, c.healthy, c.falsely = c.leaks+o.leaks, c.found+o.found, c.healthy+o.healthy, c.falsely+o.falsely
	c.early, c.months, c.episodes = c.early+o.early, c.months+o.months, c.episodes+o.episodes
	c.delays = append(c.delays, o.delays...)
}

func (c *score) recall() float64     { return ratio(c.found, c.leaks) }
func (c *score) falseShare() float64 { return ratio(c.falsely, c.healthy) }

// precisionAt is the precision where that share of all workers leaks.
func (c *score) precisionAt(share float64) float64 {
	return precision(c.recall(), c.falseShare(), share)
}

// precisionBounds are the bounds that 95 % intervals of recall and false
// share give.
func (c *score) precisionBounds(share float64) (lo, hi float64) {
	rl, rh := wilson(c.found, c.leaks)
	fl, fh := wilson(c.falsely, c.healthy)
	return precision(rl, fh, share), precision(rh, fl, share)
}

func precision(recall, falsely, share float64) float64 {
	return recall * share / (recall*share + falsely*(1-share))
}

func f1(p, r float64) float64 { return 2 * p * r / (p + r) }

func (c *score) medianDelay() float64 { return middle(c.delays) }

func middle(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	return v[(len(v)-1)/2]
}

func ratio(a, b int) float64 { return float64(a) / float64(b) }

// wilson is the 95 % Wilson score interval of k in n (Wilson 1927).
func wilson(k, n int) (lo, hi float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	p, m := ratio(k, n), float64(n)
	mid := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, mid-half), min(1, mid+half)
}

// numbers counts how good dropleak's own figures are, at the last look.
type numbers struct {
	bins               [10]bin // by confidence
	rate, rateIn       int
	exhaust, exhaustIn int
	kindRight, kinds   int // exact kind among found leaks
	why, whyRight      int // reason among right verdicts
	unsure, all        int
	rateError          []float64 // |estimate/truth − 1|
	blamed, named      int       // leaks with a task to blame, of several; those of it that were named
	innocent, accused  int       // task names that leak nothing; those called leaking
}

type bin struct{ right, n int }

func (n *numbers) add(s subject, v detector.Verdict) {
	n.all++
	if v.Kind == detector.Unsure {
		n.unsure++
		return
	}
	n.addTasks(s, v)
	right := v.Kind.Leaks() == s.leaks
	b := &n.bins[min(9, max(0, int(v.Confidence*10)))]
	b.n++
	if !right {
		return
	}
	b.right++
	if len(s.reasons) > 0 {
		n.why++
		if slices.Contains(s.reasons, v.Reason) {
			n.whyRight++
		}
	}
	if s.leaks {
		n.addLeak(s, v)
	}
}

func (n *numbers) addLeak(s subject, v detector.Verdict) {
	n.kinds++
	if v.Kind == s.kind {
		n.kindRight++
	}
	if v.Rate != nil && s.rate > 0 {
		n.rate++
		n.rateError = append(n.rateError, math.Abs(v.Rate.Value/s.rate-1))
		if v.Rate.Low <= s.rate && s.rate <= v.Rate.High {
			n.rateIn++
		}
	}
	if e := v.Exhaustion; e != nil && !s.exhausts.IsZero() {
		n.exhaust++
		if !s.exhausts.Before(e.Earliest) && (e.Latest.IsZero() || !s.exhausts.After(e.Latest)) {
			n.exhaustIn++
		}
	}
}

// addTasks counts whom the verdict accuses; only workers with several task
// names say anything.
func (n *numbers) addTasks(s subject, v detector.Verdict) {
	if len(v.Tasks) < 2 {
		return
	}
	for _, t := range v.Tasks {
		leaks := t.Kind == detector.TaskLeak
		switch {
		case t.Task == s.task && leaks:
			n.blamed, n.named = n.blamed+1, n.named+1
		case t.Task == s.task:
			n.blamed++
		case leaks:
			n.innocent, n.accused = n.innocent+1, n.accused+1
		default:
			n.innocent++
		}
	}
}
