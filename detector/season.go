package detector

import (
	"math"
	"slices"
)

// season takes the daily rhythm out of a curve of three days and more, and
// returns its height, 0 where there is none to speak of: the median over the
// days of what each hour lies above a baseline through the days' medians,
// where that explains a fifth of the variance about the baseline.
//
// Source: the seasonal part of STL (Cleveland and others, J. Official
// Statistics 6, 1990) with medians and a single pass.
func season(c curve) (curve, float64) {
	const day, least = 24.0, 72.0
	if c.span() < least {
		return c, 0
	}
	base := dailyBase(c)
	var byHour [24][]float64
	rest := make([]float64, c.len())
	for i, t := range c.t {
		rest[i] = c.lo[i] - base(t)
		h := int(math.Mod(t, day))
		byHour[h] = append(byHour[h], rest[i])
	}
	var profile [24]float64
	for h := range byHour {
		if len(byHour[h]) < 3 {
			return c, 0
		}
		profile[h] = median(byHour[h])
	}
	middle := mean(profile[:])
	for h := range profile {
		profile[h] -= middle
	}
	out := c.slice(0, c.len())
	out.lo = make([]float64, c.len())
	var left, all float64
	for i, t := range c.t {
		s := profileAt(profile, t)
		out.lo[i] = c.lo[i] - s
		all += rest[i] * rest[i]
		left += (rest[i] - s) * (rest[i] - s)
	}
	if left > 0.8*all {
		return c, 0
	}
	return out, slices.Max(profile[:]) - slices.Min(profile[:])
}

// profileAt interpolates between the middles of the hours.
func profileAt(p [24]float64, t float64) float64 {
	x := math.Mod(t-0.5+24, 24)
	i := int(x)
	f := x - float64(i)
	return p[i]*(1-f) + p[(i+1)%24]*f
}

// dailyBase joins the medians of the days by straight lines.
func dailyBase(c curve) func(float64) float64 {
	var at, level []float64
	for from := c.t[0]; from < c.t[c.len()-1]; from += 24 {
		part := c.since(from).until(from + 24)
		if part.len() == 0 {
			continue
		}
		at = append(at, mean(part.t))
		level = append(level, medianOf(part.lo))
	}
	return func(t float64) float64 {
		i, _ := slices.BinarySearch(at, t)
		i = min(max(i, 1), len(at)-1)
		if len(at) < 2 {
			return level[0]
		}
		f := (t - at[i-1]) / (at[i] - at[i-1])
		return level[i-1] + f*(level[i]-level[i-1])
	}
}
