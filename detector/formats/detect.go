package formats

import (
	"bytes"
	"regexp"
	"strings"
)

// HeadSize is how much of a file's beginning is enough to tell what it is.
const HeadSize = 64 << 10

// Detect tells the format from the beginning of a file, through its gzip; ""
// where it looks like none.
func Detect(head []byte) Format {
	if cut := bytes.LastIndexByte(head, '\n'); len(head) == HeadSize && cut > 0 {
		head = head[:cut+1] // the last line may not be whole
	}
	text := strings.TrimPrefix(string(head), "\ufeff")
	trimmed := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(trimmed, "{") && strings.Contains(trimmed, `"`) && !promSample.MatchString(firstLine(trimmed)),
		strings.HasPrefix(trimmed, "["+"{"), jsonArray.MatchString(trimmed):
		return FormatPromJSON
	case strings.HasPrefix(trimmed, "epoch,"):
		return FormatCollectd
	case mprofLine.MatchString(text):
		return FormatMProf
	case lineTableHead.MatchString(text):
		return FormatLineTable
	case csvHead(firstLine(trimmed)):
		return FormatCSV
	}
	return detectByLine(text)
}

var (
	jsonArray     = regexp.MustCompile(`^\[\s*\{\s*"`)
	mprofLine     = regexp.MustCompile(`(?m)^(MEM [0-9.]+ [0-9.]+|CHLD \d+ [0-9.]+ [0-9.]+|FUNC \S+ [0-9.]+ [0-9.]+ [0-9.]+ [0-9.]+.*)\r?$`)
	lineTableHead = regexp.MustCompile(`(?m)^Line #\s+Mem usage\s+Increment\s`)
	promComment   = regexp.MustCompile(`^# (HELP|TYPE|UNIT) [A-Za-z_:"]`)
	promSample    = regexp.MustCompile(`^[A-Za-z_:][A-Za-z0-9_:]*(\{.*\})? +[-+0-9.eEINFnaif]+( +[-+0-9.]+)?( #.*)?$|^\{.*\} +[-+0-9.eEINFnaif]+( +[-+0-9.]+)?$`)
	openMetrics   = regexp.MustCompile(`(?m)^# (EOF\r?$|UNIT |TYPE \S+ (unknown|info|stateset|gaugehistogram)\r?$)`)
)

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimRight(line, "\r")
}

// csvHead reports whether a line is a header row of our CSV.
func csvHead(line string) bool {
	for cell := range strings.SplitSeq(line, ",") {
		if strings.EqualFold(strings.Trim(cell, " \t\""), "time") && strings.Contains(line, ",") {
			return true
		}
	}
	return false
}

// detectByLine looks for the first line that only one format has.
func detectByLine(text string) Format {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if promComment.MatchString(line) || line == "# EOF" || promSample.MatchString(line) {
			if openMetrics.MatchString(text) {
				return FormatOpenMetrics
			}
			return FormatPrometheus
		}
		if _, ok := psHeaderOf(line); ok {
			return FormatPS
		}
	}
	return ""
}
