package chart

import (
	"fmt"
	"math"
	"time"
)

// tick is one mark of an axis.
type tick[T any] struct {
	at   T
	text string
}

// byteTicks marks round binary sizes from zero to top, four to seven of them.
func byteTicks(top float64) []tick[float64] {
	unit, name := float64(1), "B"
	for _, u := range []struct {
		size float64
		name string
	}{{1 << 10, "KiB"}, {1 << 20, "MiB"}, {1 << 30, "GiB"}, {1 << 40, "TiB"}} {
		if top >= 1.5*u.size {
			unit, name = u.size, u.name
		}
	}
	step := niceStep(top/unit/4.5) * unit
	var out []tick[float64]
	for v := 0.0; v <= top; v += step {
		out = append(out, tick[float64]{v, fmt.Sprintf("%s %s", trim(v/unit), name)})
	}
	return out
}

// niceStep rounds up to one of 1, 2, 2.5, 5 times a power of ten, or of two
// below 1024.
func niceStep(raw float64) float64 {
	for _, s := range []float64{0.1, 0.2, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024} {
		if s >= raw {
			return s
		}
	}
	return math.Pow(2, math.Ceil(math.Log2(raw)))
}

func trim(v float64) string {
	if v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	if v*10 == math.Trunc(v*10) {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

var timeSteps = []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 30 * 24 * time.Hour}

// timeTicks marks six to nine round times. A recording whose clock starts
// near 1970 has no dates worth showing: it is marked by its length.
func timeTicks(from, to time.Time, zone *time.Location) []tick[time.Time] {
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if to.Sub(from)/s <= 9 {
			step = s
			break
		}
	}
	if from.Year() < 1990 {
		return lengthTicks(from, to, step)
	}
	_, offset := from.In(zone).Zone()
	shift := time.Duration(offset) * time.Second
	var out []tick[time.Time]
	for t := from.Add(shift).Truncate(step).Add(-shift); !t.After(to); t = t.Add(step) {
		if !t.Before(from) {
			out = append(out, tick[time.Time]{t, clock(t.In(zone), step)})
		}
	}
	return out
}

// clock shows the time of day; at midnight, and for steps of days, the day.
func clock(t time.Time, step time.Duration) string {
	switch {
	case step >= 24*time.Hour, t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0:
		return t.Format("Mon 2 Jan")
	case step < time.Minute:
		return t.Format("15:04:05")
	}
	return t.Format("15:04")
}

func lengthTicks(from, to time.Time, step time.Duration) []tick[time.Time] {
	var out []tick[time.Time]
	for t := from; !t.After(to); t = t.Add(step) {
		d := t.Sub(from)
		text := fmt.Sprintf("%.0f min", d.Minutes())
		switch {
		case step >= 24*time.Hour:
			text = fmt.Sprintf("%.0f d", d.Hours()/24)
		case step >= time.Hour:
			text = fmt.Sprintf("%.0f h", d.Hours())
		case step < time.Minute:
			text = fmt.Sprintf("%.0f s", d.Seconds())
		}
		out = append(out, tick[time.Time]{t, text})
	}
	return out
}
