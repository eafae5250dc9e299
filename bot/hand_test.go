package bot

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/detector/sample"
)

// TestOnHand: what the agents of a droplet shipped of its workers is summed,
// with the age of the oldest; who has not told of late, or ever, is named.
func TestOnHand(t *testing.T) {
	s, _ := assembled(t)
	now := time.Now().Truncate(time.Second).UTC()
	info := func(worker string) sample.Series {
		return sample.Encode(sample.Pass{Workers: []sample.Worker{{At: now, Droplet: "4711", Worker: worker}}})[0]
	}
	count := func(droplet, worker string, ago time.Duration, n float64) []sample.Series {
		return sample.EncodeOnHand([]sample.OnHand{{At: now.Add(-ago), Droplet: droplet, Worker: worker, Running: n, Late: n - 1, Reserved: n + 1, ETA: n + 2}})
	}
	for _, series := range [][]sample.Series{
		{info("mail"), info("web"), info("mute"), info("busy")},
		count("4711", "mail", 3*time.Minute, 9), count("4711", "mail", 40*time.Second, 3), count("4711", "web", 70*time.Second, 1),
		count("4711", "busy", 20*time.Minute, 5), count("12", "mail", time.Second, 100),
	} {
		if err := s.history.Write(t.Context(), series); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		workers []string
		want    remedy.OnHand
	}{
		"one":       {[]string{"mail"}, remedy.OnHand{At: now.Add(-40 * time.Second), Running: 3, Late: 2, Reserved: 4, ETA: 5}},
		"a unit":    {[]string{"mail", "web"}, remedy.OnHand{At: now.Add(-70 * time.Second), Running: 4, Late: 2, Reserved: 6, ETA: 8}},
		"no probe":  {[]string{"mute"}, remedy.OnHand{Untold: []string{"mute"}}},
		"long ago":  {[]string{"busy"}, remedy.OnHand{Silent: []string{"busy"}}},
		"a droplet": {nil, remedy.OnHand{At: now.Add(-70 * time.Second), Running: 4, Late: 2, Reserved: 6, ETA: 8, Untold: []string{"mute"}, Silent: []string{"busy"}}},
	} {
		got, err := s.onHand(t.Context(), 4711, c.workers)
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", name, err, d)
		}
	}
}
