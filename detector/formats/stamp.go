package formats

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// stampLayouts are what `date` and friends print, in several locales.
var stampLayouts = []string{
	"Mon Jan _2 15:04:05 MST 2006",
	"Mon Jan _2 15:04:05 -0700 2006",
	"Mon Jan _2 15:04:05 2006",
	"Mon Jan _2 03:04:05 PM MST 2006",
	"Mon _2 Jan 2006 15:04:05 MST",
	"Mon _2 Jan 15:04:05 MST 2006",
	"Mon _2 Jan 2006 03:04:05 PM MST",
	"Mon, 2 Jan 2006 15:04:05 -0700",
	"Mon, 2 Jan 2006 15:04:05 MST",
	time.RFC3339,
	"2006-01-02T15:04:05-0700",
	"2006-01-02T15:04:05-07",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05-0700",
	"2006-01-02 15:04:05 -0700",
	"2006-01-02 15:04:05 MST",
	"2006-01-02 15:04:05",
	"2006-01-02 15:04",
	"2006/01/02 15:04:05",
	"20060102T150405Z0700",
	"20060102T150405",
}

// zones are the abbreviations that Go cannot resolve and `date` prints.
var zones = map[string]int{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
	"AKST": -9, "AKDT": -8, "HST": -10, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3,
	"JST": 9, "KST": 9, "HKT": 8, "SGT": 8, "AEST": 10, "AEDT": 11, "ACST": 9, "AWST": 8, "NZST": 12, "NZDT": 13, "BRT": -3}

var epochStamp = regexp.MustCompile(`^@?(\d{10}|\d{13}|\d{10}\.\d{1,9})$`)

// parseStamp reads a line that says when what follows was measured: what
// `date` prints, ISO 8601 or seconds or milliseconds since 1970, with
// ornaments around it or without. A time without a zone is taken for UTC.
func parseStamp(line string) (time.Time, bool) {
	text := strings.Trim(line, " \t=*#[]()-–—<>|:")
	if len(text) < 8 || len(text) > 64 {
		return time.Time{}, false
	}
	if m := epochStamp.FindStringSubmatch(text); m != nil {
		s, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return time.Time{}, false
		}
		if len(m[1]) == 13 && !strings.Contains(m[1], ".") {
			s /= 1000
		}
		return atSeconds(s), true
	}
	text = strings.Replace(strings.Join(strings.Fields(text), " "), ",", ".", commaFraction(text))
	for _, layout := range stampLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return inZone(t), true
		}
	}
	return time.Time{}, false
}

// commaFraction is 1 where a comma stands before the fraction of a second.
func commaFraction(text string) int {
	if i := strings.IndexByte(text, ','); i > 8 && i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9' {
		return 1
	}
	return 0
}

// inZone gives a time the offset its abbreviation stands for; Go gives those
// it does not know an offset of zero.
func inZone(t time.Time) time.Time {
	name, offset := t.Zone()
	if hours, ok := zones[name]; ok && offset == 0 {
		t = t.Add(-time.Duration(hours) * time.Hour)
	}
	return t.UTC()
}

// numberInName is the moment that people put into the name of a dump.
var numberInName = regexp.MustCompile(`(?:^|[^0-9])(\d{13}|\d{10})(?:[^0-9]|$)`)

// timeInName reads the 10- or 13-digit number in a file's name.
func timeInName(name string) (time.Time, bool) {
	m := numberInName.FindStringSubmatch(name)
	if m == nil {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	if len(m[1]) == 10 {
		n *= 1000
	}
	return time.UnixMilli(n).UTC(), true
}
