package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/corpus"
)

// TestScanRecordings scans the recordings of real Celery nodes as files and
// asks of each what is known to be true of it. How many may be missed is the
// detector's business; that the command says what the detector says is here.
func TestScanRecordings(t *testing.T) {
	dir := os.Getenv("DROPLEAK_CORPUS")
	if dir == "" {
		t.Skip("DROPLEAK_CORPUS is not set")
	}
	recordings, err := corpus.Celery(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	var out, talk bytes.Buffer
	code := run(t.Context(), []string{"scan", "--json", filepath.Join(dir, "celery", "recordings")}, nil, &out, &talk)
	if code != 1 {
		t.Fatalf("exit code %d, want 1: %s", code, talk.String())
	}
	var result scanResult
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatal(err)
	}
	if len(result.Files) != len(recordings) {
		t.Fatalf("%d files, want one for each of %d recordings", len(result.Files), len(recordings))
	}
	said := map[string]workerResult{}
	for _, f := range result.Files {
		if len(f.Workers) != 1 {
			t.Fatalf("%s: %d workers, want one", f.Path, len(f.Workers))
		}
		said[f.Workers[0].Worker] = f.Workers[0]
	}
	right := 0
	for _, r := range recordings {
		got := said[r.Name]
		if want := detector.Judge(r.Worker, r.End, detector.Options{}); want.Kind != got.Verdict {
			t.Errorf("%s: scan says %s, the detector %s", r.Name, got.Verdict, want.Kind)
		}
		if got.Verdict.Leaks() == r.Kind.Leaks() {
			right++
		}
	}
	if right < len(recordings)*9/10 {
		t.Errorf("%d of %d recordings judged right", right, len(recordings))
	}
}
