package configs

import (
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
