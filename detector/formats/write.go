package formats

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// exportColumns is the header that WriteCSV writes and CSV reads.
var exportColumns = []string{"time", "droplet", "worker", "slot", "role", "pid", "ppid", "start",
	"rss", "pss", "uss", "swap", "cpu"}

// WriteCSV writes samples as the CSV that [CSV] reads: seconds since 1970 and
// bytes, what was not measured left empty. Where a worker's held tasks were
// counted, a column more and a row for each count follow.
func WriteCSV(out io.Writer, rows []sample.Process, held []Held) error {
	w := csv.NewWriter(out)
	row := slices.Clone(exportColumns)
	if len(held) > 0 {
		row = append(row, "held")
	}
	w.Write(row) // the writer keeps its first error
	clear(row)
	for _, p := range rows {
		copy(row, []string{seconds(p.At), p.Droplet, p.Worker, p.Slot, p.Role, id(p.PID), id(p.PPID), seconds(p.Start),
			number(p.RSS), number(p.PSS), number(p.USS), number(p.Swap), number(p.CPU)})
		w.Write(row)
	}
	clear(row)
	for _, h := range held {
		row[0], row[1], row[2], row[len(row)-1] = seconds(h.At), h.Droplet, h.Worker, number(h.Tasks)
		w.Write(row)
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	return nil
}

func seconds(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64)
}

func id(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func number(v float64) string {
	if !sample.Measured(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
