package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/chart"
	"github.com/dropleak/dropleak/detector/formats"
)

// drawScan draws the worst worker of a file into path; with several files,
// that of each into FILE-WORKER.png, and FILE-WORKER-2.png where a second one
// has that name.
func drawScan(path string, files []judged) error {
	var drawn []judgedWorker
	for _, file := range files {
		if len(file.workers) > 0 {
			drawn = append(drawn, file.workers[0])
		}
	}
	taken := map[string]int{}
	for _, w := range drawn {
		target := path
		if len(drawn) > 1 {
			ext, name := filepath.Ext(path), fileName(w.worker.Name)
			if taken[name]++; taken[name] > 1 { // one name in two files
				name += fmt.Sprintf("-%d", taken[name])
			}
			target = strings.TrimSuffix(path, ext) + "-" + name + ext
		}
		if err := drawWorker(target, w); err != nil {
			return fmt.Errorf("draw %s: %w", w.worker.Name, err)
		}
	}
	return nil
}

// fileName keeps a worker's name from leaving the folder.
func fileName(worker string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) || r < ' ' {
			return '_'
		}
		return r
	}, worker)
}

func drawWorker(path string, w judgedWorker) error {
	at := lastSample(w.worker)
	scene := report.Scene{At: at, Workers: []detector.Worker{w.worker}, Verdicts: []detector.Verdict{w.verdict}, Marks: w.marks}
	f := finding.Finding{Subject: finding.Subject{Kind: finding.KindLeak, Worker: w.worker.Name, DropletName: w.worker.Droplet}, Verdict: w.verdict}
	png, err := scene.Picture(f, time.Local)
	if errors.Is(err, chart.ErrNoData) {
		return errors.New("it has no complete reading to draw")
	}
	if err != nil {
		return err
	}
	return os.WriteFile(path, png, 0o644)
}

// marksOf are the functions that were marked, the one that kept most first.
func marksOf(calls []formats.Call) (out []chart.Mark) {
	spans := map[string][][2]time.Time{}
	for _, c := range calls {
		spans[c.Name] = append(spans[c.Name], [2]time.Time{c.Begin, c.End})
	}
	for _, f := range formats.Functions(calls) {
		peak := detector.Point{At: f.At.End, V: f.Peak}
		if f.At.Before >= f.At.After {
			peak.At = f.At.Begin
		}
		out = append(out, chart.Mark{Label: f.Name, Spans: spans[f.Name], Peak: peak})
	}
	return out
}
