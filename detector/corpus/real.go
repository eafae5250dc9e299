package corpus

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// hostMemory stands for 100 % where a series is in percent of a host whose
// size nobody published: 64 GiB.
const hostMemory = 64 << 30

// stretched is how many seconds one second of the short HPAS runs stands for,
// so that their ten minutes are a leak of ten hours.
const stretched = 60

// Real reads the series that others published below dir, by source and name.
// Each is one worker with one process of unknown role, its value as RSS.
func Real(dir string) ([]Recording, error) {
	dir = filepath.Join(dir, "real")
	manifest, err := table(filepath.Join(dir, "manifest.csv"))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(manifest, func(a, b row) int {
		return strings.Compare(a["group"]+a["label"]+a["file"], b["group"]+b["label"]+b["file"])
	})
	var out []Recording
	seen := map[string]int{}
	for _, m := range manifest {
		class := m["group"] + m["label"]
		seen[class]++
		r := Recording{Name: strings.TrimSuffix(m["file"], ".csv"), Family: m["group"], Half: halfOf(seen[class]),
			Kind: detector.Kind(m["label"]), Strength: Strength(m["strength"]), Notes: m["why"] + "; " + m["notes"]}
		if r.Strength == "" {
			r.Strength, r.Kind = Unknown, detector.Unsure
		}
		if err := r.readSeries(dir, m); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// readSeries reads the values of one published series.
func (r *Recording) readSeries(dir string, m row) error {
	rows, err := table(filepath.Join(dir, m["file"]))
	if err != nil {
		return err
	}
	unit, factor := 1.0, 1.0
	if len(rows) == 0 {
		return fmt.Errorf("read recording %s: no values", m["file"])
	}
	origin := rows[0].amount("ts_seconds")
	if m["unit"] == "pct" {
		unit = hostMemory / 100.0
	}
	if m["group"] == "hpas" {
		factor = stretched
	}
	moment := func(seconds float64) time.Time { return Moment(origin + (seconds-origin)*factor) }
	nan := math.NaN()
	life := detector.Life{PID: 1, Role: detector.RoleUnknown}
	for _, line := range rows {
		v := line.number("value_bytes")
		if math.IsNaN(v) {
			v = line.number("value_pct")
		}
		at := moment(line.amount("ts_seconds"))
		if n := len(life.Samples); n > 0 && !at.After(life.Samples[n-1].At) {
			continue // a few sources repeat a time; the first reading stays
		}
		life.Samples = append(life.Samples, detector.Sample{At: at, RSS: v * unit, PSS: nan, USS: nan, Swap: nan, CPU: nan})
	}
	if n := len(life.Samples); n > 0 {
		r.Begin, r.End = life.Samples[0].At, life.Samples[n-1].At
	}
	if onset := m.number("onset_ts"); !math.IsNaN(onset) && r.Kind.Leaks() {
		r.Onset = moment(onset)
	} else if r.Kind.Leaks() {
		r.Onset = r.Begin
	}
	r.Worker = detector.Worker{Name: r.Name, Lives: []detector.Life{life}}
	if limit := m.amount("limit"); limit > 0 {
		r.Worker.Limit = detector.Limit{Bytes: limit * unit, Source: "published"}
	}
	return nil
}
