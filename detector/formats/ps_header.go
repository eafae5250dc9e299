package formats

import (
	"fmt"
	"slices"
	"strings"
)

// psHeader are the columns of a block, by the names ps prints.
type psHeader struct{ names []string }

// psHeaderOf reads a header: words in capitals, PID or a memory column among
// them.
func psHeaderOf(line string) (psHeader, bool) {
	names := strings.Fields(line)
	for i, n := range names {
		if n != strings.ToUpper(n) || strings.ContainsAny(n, "=/:;,\"'()") {
			return psHeader{}, false
		}
		if n == "RSZ" {
			names[i] = "RSS"
		}
	}
	h := psHeader{names: names}
	return h, h.has("RSS") || h.has("PSS") || h.has("USS")
}

func (h psHeader) has(name string) bool { return slices.Contains(h.names, name) }

// commands reports whether the header has a column with the command.
func (h psHeader) commands() bool { return h.command() >= 0 }

func (h psHeader) command() int {
	return slices.IndexFunc(h.names, func(n string) bool { return n == "COMMAND" || n == "CMD" || n == "ARGS" })
}

// cells splits a row by the header. A command may hold spaces and a start
// time may be several words; what stands before such a column is counted from
// the left and what stands after it from the right.
func (h psHeader) cells(line string) ([]string, error) {
	words := strings.Fields(line)
	out := make([]string, len(h.names))
	wide := h.command()
	for i := range h.names {
		if i == wide {
			break
		}
		if len(words) == 0 {
			return nil, h.short(line)
		}
		n := min(wordsOf(h.names[i], words), len(words))
		out[i] = strings.Join(words[:n], " ")
		words = words[n:]
	}
	if wide < 0 {
		return out, nil
	}
	for i := len(h.names) - 1; i > wide; i-- {
		if len(words) == 0 {
			return nil, h.short(line)
		}
		n := min(wordsBefore(h.names[i], words), len(words))
		out[i] = strings.Join(words[len(words)-n:], " ")
		words = words[:len(words)-n]
	}
	out[wide] = strings.Join(words, " ")
	return out, nil
}

func (h psHeader) short(line string) error {
	return fmt.Errorf("%.40q has fewer cells than the header", strings.TrimSpace(line))
}

var weekdays = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// wordsOf is how many words a column's cell takes: lstart prints five ("Sun
// Nov 22 10:00:00 2026"), start two once a day has passed ("Nov 22").
func wordsOf(column string, words []string) int {
	if column != "STARTED" {
		return 1
	}
	switch {
	case slices.Contains(weekdays, words[0]):
		return 5
	case len(words[0]) == 3 && words[0][0] >= 'A' && words[0][0] <= 'Z':
		return 2
	}
	return 1
}

// wordsBefore is the same, read from the end of the words.
func wordsBefore(column string, words []string) int {
	if column != "STARTED" {
		return 1
	}
	n := len(words)
	switch {
	case n >= 5 && slices.Contains(weekdays, words[n-5]):
		return 5
	case n >= 2 && len(words[n-2]) == 3 && words[n-2][0] >= 'A' && words[n-2][0] <= 'Z':
		return 2
	}
	return 1
}
