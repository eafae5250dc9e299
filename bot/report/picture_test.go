package report

import (
	"bytes"
	"errors"
	"image/png"
	"os"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/chart"
)

// grown is a worker's memory over the 48 hours before noon, measured every ten
// minutes: base bytes, and from the onset on more each hour.
func grown(name string, base, perHour float64, onset time.Time) detector.Worker {
	l := detector.Life{PID: 100, Start: noon.Add(-60 * time.Hour), Role: detector.RoleParent, Slot: "main"}
	for at := noon.Add(-48 * time.Hour); !at.After(noon); at = at.Add(10 * time.Minute) {
		v := base + perHour*max(0, at.Sub(onset).Hours()) + float64(at.Minute()%30-10)*0.3*mib
		l.Samples = append(l.Samples, detector.Sample{At: at, RSS: v, PSS: v, USS: v})
	}
	return detector.Worker{Name: name, Droplet: "42", Lives: []detector.Life{l}, Limit: detector.Limit{Bytes: 2048 * mib, Source: "memory.max"}}
}

// scene is the droplet of mail.
func scene() Scene {
	onset := *mail().Verdict.Onset
	return Scene{At: noon, Workers: []detector.Worker{grown("mail", 312*mib, 44*mib, onset), grown("web", 420*mib, 0, onset), grown("thumbs", 260*mib, 0, onset)},
		Verdicts: []detector.Verdict{mail().Verdict, {Kind: detector.Healthy}, {Kind: detector.Healthy}}}
}

// TestPicture draws the chart that the golden messages show, and compares it
// with the one that was looked at and found good.
func TestPicture(t *testing.T) {
	got, err := scene().Picture(mail(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/F0CHART001.png"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := png.Decode(bytes.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	b, err := png.Decode(bytes.NewReader(want))
	if err != nil || a.Bounds() != b.Bounds() {
		t.Fatalf("%v, want %v (%v)", a.Bounds(), b.Bounds(), err)
	}
	differ := 0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			if a.At(x, y) != b.At(x, y) {
				differ++
			}
		}
	}
	if differ > 0 {
		t.Errorf("%d pixels differ from %s; look at it, then go test -update", differ, file)
	}
}

func TestNoPictureWithoutTheWorker(t *testing.T) {
	s := scene()
	s.Workers, s.Verdicts = s.Workers[1:], s.Verdicts[1:]
	if _, err := s.Picture(mail(), time.UTC); !errors.Is(err, chart.ErrNoData) {
		t.Errorf("a chart of a worker that is not there: %v", err)
	}
}

// TestPictureOfAThreshold: the line that was passed stands in the picture of
// a threshold's finding, and in no other.
func TestPictureOfAThreshold(t *testing.T) {
	over := mail()
	over.Subject.Kind, over.Threshold = finding.KindThreshold, 1200*mib
	for _, c := range []struct {
		finding finding.Finding
		line    bool
	}{{mail(), false}, {over, true}} {
		raw, err := scene().Picture(c.finding, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		longest := 0
		for y := range img.Bounds().Dy() {
			amber := 0
			for x := range img.Bounds().Dx() {
				if r, g, b, _ := img.At(x, y).RGBA(); r>>8 == 0xb3 && g>>8 == 0x5c && b == 0 {
					amber++
				}
			}
			longest = max(longest, amber)
		}
		if (longest > 600) != c.line {
			t.Errorf("%s: %d pixels of the threshold's colour in a row", c.finding.Subject.Kind, longest)
		}
	}
}
