package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/formats"
)

// TestExportKeepsSlots: a group of collectd's, which no pid tells, is still a
// group to who reads the export.
func TestExportKeepsSlots(t *testing.T) {
	at := time.Unix(1795456898, 0).UTC()
	w := detector.Worker{Name: "mail", Droplet: "42", Lives: []detector.Life{{Slot: detector.SlotGroup, Role: detector.RoleUnknown, Samples: []detector.Sample{{At: at, RSS: 5}}}}}
	var out strings.Builder
	if err := formats.WriteCSV(&out, rowsOf(w), nil); err != nil {
		t.Fatal(err)
	}
	got, err := formats.CSV(strings.NewReader(out.String()), "")
	if err != nil || len(got.Processes) != 1 || got.Processes[0].Slot != detector.SlotGroup || got.Processes[0].RSS != 5 {
		t.Errorf("read back %+v, %v, of\n%s", got.Processes, err, out.String())
	}
}
