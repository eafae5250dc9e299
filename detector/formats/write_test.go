package formats

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dropleak/dropleak/detector/sample"
)

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	start := time.Date(2026, 11, 22, 8, 0, 0, 250e6, time.UTC)
	want := []sample.Process{
		{At: start.Add(time.Minute), Droplet: "42", Worker: "mail@web, 1", Slot: "main", Role: "parent", PID: 7, PPID: 1, Start: start, RSS: 1 << 30, PSS: 5, USS: 4, Swap: 0, CPU: 1.25},
		{At: start.Add(time.Minute), Droplet: "42", Worker: `q"uote`, Slot: "0", Role: "child", PID: 8, PPID: 7, RSS: 3, PSS: sample.NaN, USS: sample.NaN, Swap: sample.NaN, CPU: sample.NaN},
	}
	var b bytes.Buffer
	held := []Held{{At: start.Add(90 * time.Second), Droplet: "42", Worker: "mail@web, 1", Tasks: 17}}
	if err := WriteCSV(&b, want, held); err != nil {
		t.Fatal(err)
	}
	got, err := CSV(&b, "other")
	if err != nil || len(got.Notes) > 0 {
		t.Fatal(err, got.Notes)
	}
	if diff := cmp.Diff(want, got.Processes, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(held, got.Held); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
}
