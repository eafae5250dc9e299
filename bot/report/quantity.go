// Package report puts a finding in words, blocks and picture; it is pure and
// golden-tested.
package report

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// Bytes says a number of bytes as people read memory: "212 MiB", "1.4 GiB".
func Bytes(b float64) string {
	sign := ""
	if b < 0 {
		sign, b = "−", -b
	}
	switch {
	case b < 1<<10:
		return fmt.Sprintf("%s%.0f B", sign, b)
	case b < 1<<20:
		return sign + digits(b/(1<<10)) + " KiB"
	case b < 1000*(1<<20):
		return sign + digits(b/(1<<20)) + " MiB"
	case b < 1000*(1<<30):
		return sign + digits(b/(1<<30)) + " GiB"
	}
	return sign + digits(b/(1<<40)) + " TiB"
}

// Freed says how much less after is than before, as the difference of what
// [Bytes] says of the two: they stand beside it.
func Freed(before, after float64) string {
	a, unit := said(before)
	b, unitAfter := said(after)
	if unit == unitAfter {
		return digits((a-b)/unitBytes[unit]) + " " + unit
	}
	return Bytes(a - b)
}

// FreedBetween is [Freed] with its range: "412 MiB (395 to 430)". A range
// that rounds to the amount itself is left out.
func FreedBetween(before, after float64, low, high float64) string {
	freed := Freed(before, after)
	value, unit, _ := strings.Cut(freed, " ")
	lo, hi := in(unit, low), in(unit, high)
	if lo == value && hi == value {
		return freed
	}
	return fmt.Sprintf("%s (%s to %s)", freed, lo, hi)
}

// in says bytes as a number of a unit.
func in(unit string, b float64) string {
	if b < 0 {
		return "−" + digits(-b/unitBytes[unit])
	}
	return digits(b / unitBytes[unit])
}

var unitBytes = map[string]float64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

// said is the number of bytes that [Bytes] says b is.
func said(b float64) (bytes float64, unit string) {
	number, unit, _ := strings.Cut(Bytes(b), " ")
	v, err := strconv.ParseFloat(strings.Replace(number, "−", "-", 1), 64)
	if err != nil {
		return b, unit // not finite
	}
	return v * unitBytes[unit], unit
}

// digits keeps two significant digits below ten, and none after the point
// above.
func digits(v float64) string {
	if v < 9.95 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// Rate says bytes per hour with their sign: "+44 MiB/h".
func Rate(perHour float64) string {
	if perHour < 0 {
		return Bytes(perHour) + "/h"
	}
	return "+" + Bytes(perHour) + "/h"
}

// RateBetween says a rate with its range: "+44 MiB/h (40 to 49)".
func RateBetween(i detector.Interval) string {
	value, unit, _ := strings.Cut(Bytes(i.Value), " ")
	low, lowUnit, _ := strings.Cut(Bytes(i.Low), " ")
	high, highUnit, _ := strings.Cut(Bytes(i.High), " ")
	if i.Low <= 0 || lowUnit != unit || highUnit != unit {
		return fmt.Sprintf("%s (%s to %s)", Rate(i.Value), Rate(i.Low), Rate(i.High))
	}
	return fmt.Sprintf("+%s %s/h (%s to %s)", value, unit, low, high)
}

// Duration says a length of time in its largest fitting unit: "45 s",
// "12 min", "11 h", "3 days".
func Duration(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 90*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 10*time.Hour:
		return half(d.Hours()) + " h"
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	case d < 90*24*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	}
	return "over 90 days"
}

// half rounds to halves: 1.5, 2, 2.5.
func half(v float64) string {
	v = math.Round(v*2) / 2
	if v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// Between says a range of durations in one unit: "9–14 h".
func Between(a, b time.Duration) string {
	unit, name := time.Minute, "min"
	switch {
	case b >= 48*time.Hour:
		unit, name = 24*time.Hour, "days"
	case b >= 90*time.Minute:
		unit, name = time.Hour, "h"
	}
	lo, hi := math.Round(float64(max(a, 0))/float64(unit)), math.Round(float64(b)/float64(unit))
	if lo == hi {
		return fmt.Sprintf("%.0f %s", hi, name)
	}
	return fmt.Sprintf("%.0f–%.0f %s", lo, hi, name)
}

// unit is a number before its unit.
var unit = regexp.MustCompile(`(\d) ((?:(?:[KMGT]i?)?B|h|min|s|days)\b|%)`)

// together keeps a number and its unit on one line. What stands in code is
// copied by people, and stays as it is.
func together(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = unit.ReplaceAllString(parts[i], "$1\u00a0$2")
	}
	return strings.Join(parts, "`")
}

// Percent says a share: "92 %".
func Percent(share float64) string { return fmt.Sprintf("%.0f %%", share*100) }

// list joins names with commas and an "and".
func list(names []string) string {
	switch n := len(names); n {
	case 0:
		return ""
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}

// count says a number with its noun: "1 worker", "3 workers".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
