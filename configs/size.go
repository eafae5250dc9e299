package configs

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	sizeText  = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) *([A-Za-z]*)$`)
	sizeUnits = map[string]float64{
		"": 1, "B": 1,
		"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
		"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
		"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	}
)

// ParseSize reads a number of bytes: 512MiB, 1.5G (binary, as systemd reads
// it), 500MB (decimal), 1073741824.
func ParseSize(text string) (Size, error) {
	m := sizeText.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, fmt.Errorf("%q is not a size such as 512MiB, 1.5G or 500MB", text)
	}
	unit, ok := sizeUnits[strings.ToUpper(m[2])]
	n, err := strconv.ParseFloat(m[1], 64)
	if !ok || err != nil || n*unit > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is not a size such as 512MiB, 1.5G or 500MB", text)
	}
	return Size(math.Round(n * unit)), nil
}

// Threshold is an amount of memory: bytes, or a share of what may be used.
// The zero Threshold is none.
type Threshold struct {
	Bytes   Size    `json:",omitempty"`
	Percent float64 `json:",omitempty"` // of the limit
}

// ParseThreshold reads a size, or a number of percent of the limit: 80%.
func ParseThreshold(text string) (Threshold, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	if !percent {
		size, err := ParseSize(text)
		if err == nil && size == 0 {
			err = errors.New("0 would always be reached: leave the key out for no threshold")
		}
		return Threshold{Bytes: size}, err
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(n > 0 && n <= 100) {
		return Threshold{}, fmt.Errorf("%q is no share above 0%% and up to 100%%", text)
	}
	return Threshold{Percent: n}, nil
}

// Of is the threshold in bytes where limit bytes may be used, 0 for none, or
// where it is a share of a limit that is not known (0).
func (t Threshold) Of(limit float64) float64 {
	if t.Percent > 0 {
		return limit * t.Percent / 100
	}
	return float64(t.Bytes)
}
