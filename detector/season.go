package detector

import (
	"slices"
)

// season takes the daily rhythm out of a curve of three days and more, and
// returns its height, 0 where there is none to speak of: the median over the
// days of what each hour lies above a baseline through the days' medians,
// where that explains a fifth of the variance about the baseline.
//
// Source: the seasonal part of STL (Cleveland and others, J. Official
// Statistics 6, 1990) with medians and a single pass.
func season(c curve, th thresholds) (curve, float64) {
	if c.span() < th.seasonFrom {
		return c, 0
	}
	base := dailyBase(c)
	room, handle := borrow(2 * c.len())
	defer giveBack(handle)
	rest, byHour := room[:c.len()], room[c.len():]
	var from [25]int // of each hour's part of byHour
	for i, t := range c.t {
		rest[i] = c.lo[i] - base.at(t)
		from[hourOf(t)+1]++
	}
	for h := range 24 {
		from[h+1] += from[h]
	}
	next := from
	for i, t := range c.t {
		h := hourOf(t)
		byHour[next[h]] = rest[i]
		next[h]++
	}
	var profile [24]float64
	for h := range profile {
		part := byHour[from[h]:from[h+1]]
		if len(part) < 3 {
			return c, 0
		}
		profile[h] = median(part)
	}
	middle := mean(profile[:])
	for h := range profile {
		profile[h] -= middle
	}
	var left, all float64
	for i, t := range c.t {
		s := profileAt(&profile, t)
		all += rest[i] * rest[i]
		left += (rest[i] - s) * (rest[i] - s)
	}
	if left > th.seasonLeft*all {
		return c, 0
	}
	out := c.slice(0, c.len())
	out.lo = make([]float64, c.len())
	for i, t := range c.t {
		out.lo[i] = c.lo[i] - profileAt(&profile, t)
	}
	return out, slices.Max(profile[:]) - slices.Min(profile[:])
}

// hourOf is the hour of the day in which hour t, not before 0, lies.
func hourOf(t float64) int { return int(t) % 24 }

// profileAt interpolates between the middles of the hours.
func profileAt(p *[24]float64, t float64) float64 {
	x := t - 0.5 + 24
	x -= float64(int(x) / 24 * 24)
	i := int(x)
	f := x - float64(i)
	return p[i]*(1-f) + p[(i+1)%24]*f
}

// baseline is a line through points, read from left to right.
type baseline struct {
	t, level []float64
	i        int
}

// dailyBase joins the medians of the days by straight lines.
func dailyBase(c curve) *baseline {
	b := &baseline{i: 1}
	for from := c.t[0]; from < c.t[c.len()-1]; from += 24 {
		part := c.since(from).until(from + 24)
		if part.len() == 0 {
			continue
		}
		b.t = append(b.t, mean(part.t))
		b.level = append(b.level, medianOf(part.lo))
	}
	return b
}

// at is the level at hour t, which must not decrease from call to call.
func (b *baseline) at(t float64) float64 {
	if len(b.t) < 2 {
		return b.level[0]
	}
	for b.i < len(b.t)-1 && b.t[b.i] < t {
		b.i++
	}
	f := (t - b.t[b.i-1]) / (b.t[b.i] - b.t[b.i-1])
	return b.level[b.i-1] + f*(b.level[b.i]-b.level[b.i-1])
}
