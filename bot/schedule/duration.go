package schedule

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// longUnits are what people write and Go's parser does not know.
var longUnits = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)([dw])`)

// ParseDuration reads Go's durations plus d (24 h) and w (7 d), combined
// freely: "1w2d", "1d12h", "90m".
func ParseDuration(text string) (time.Duration, error) {
	plain := longUnits.ReplaceAllStringFunc(text, func(m string) string {
		n, err := strconv.ParseFloat(m[:len(m)-1], 64)
		if err != nil {
			return m
		}
		if m[len(m)-1] == 'w' {
			n *= 7
		}
		return strconv.FormatFloat(n*24, 'f', -1, 64) + "h"
	})
	d, err := time.ParseDuration(plain)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 90m, 12h, 14d or 2w", text)
	}
	return d, nil
}
