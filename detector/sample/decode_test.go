package sample

import (
	"cmp"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// bySearch is Decode by the plainest means: every point looks for its record.
func bySearch(series []Series) []Pass {
	var out []Pass
	find := func(droplet string, ms int64) *Pass {
		for i := range out {
			if t, _ := out[i].At(); t.UnixMilli() == ms && out[i].dropletName() == droplet {
				return &out[i]
			}
		}
		out = append(out, Pass{})
		return &out[len(out)-1]
	}
	for _, s := range series {
		for _, p := range slices.SortedStableFunc(slices.Values(s.Points), func(a, b Point) int { return cmp.Compare(a.At, b.At) }) {
			if !Measured(p.V) {
				continue
			}
			pass, at, key := find(s.Get("droplet"), p.At), time.UnixMilli(p.At).UTC(), [2]string{s.Name(), s.Get("kind")}
			switch f, ok := processByName[key]; {
			case ok:
				i := slices.IndexFunc(pass.Processes, func(q Process) bool {
					return q.Worker == s.Get("worker") && q.Slot == s.Get("slot") && q.Role == s.Get("role")
				})
				if i < 0 {
					i = len(pass.Processes)
					pass.Processes = append(pass.Processes, Process{At: at, Droplet: s.Get("droplet"), Worker: s.Get("worker"), Slot: s.Get("slot"),
						Role: s.Get("role"), RSS: NaN, PSS: NaN, USS: NaN, Swap: NaN, CPU: NaN})
				}
				f.set(&pass.Processes[i], p.V)
			case s.Name() == nameOther:
				pass.Others = append(pass.Others, Other{At: at, Droplet: s.Get("droplet"), Name: s.Get("name"), Memory: p.V})
			case dropletByName[key].set != nil:
				if pass.Droplet == nil {
					pass.Droplet = &Droplet{At: at, Droplet: s.Get("droplet"), Available: NaN, Total: NaN, Shmem: NaN, Slab: NaN, SwapUsed: NaN, OOMKills: NaN}
				}
				dropletByName[key].set(pass.Droplet, p.V)
			default:
				i := slices.IndexFunc(pass.Workers, func(w Worker) bool { return w.Worker == s.Get("worker") })
				if i < 0 {
					i = len(pass.Workers)
					pass.Workers = append(pass.Workers, Worker{At: at, Droplet: s.Get("droplet"), Worker: s.Get("worker"), Limit: NaN, High: NaN,
						Current: NaN, Pressure: NaN, OOMKills: NaN})
				}
				workerByName[key].set(&pass.Workers[i], p.V)
			}
		}
	}
	slices.SortFunc(out, func(a, b Pass) int {
		s, _ := a.At()
		t, _ := b.At()
		return cmp.Or(s.Compare(t), cmp.Compare(a.dropletName(), b.dropletName()))
	})
	for i := range out {
		out[i].Sort()
	}
	return out
}

// along is the passes of a droplet as streams.
func along(passes []Pass, droplet string) Streams {
	s := Streams{Droplet: droplet}
	for _, p := range passes {
		if p.dropletName() != droplet {
			continue
		}
		for _, r := range p.Processes {
			s.Processes = follow(s.Processes, r, func(q Process) bool { return q.Worker == r.Worker && q.Slot == r.Slot && q.Role == r.Role })
		}
		for _, r := range p.Workers {
			s.Workers = follow(s.Workers, r, func(q Worker) bool { return q.Worker == r.Worker })
		}
		if p.Droplet != nil {
			s.Droplets = append(s.Droplets, *p.Droplet)
		}
		s.Others = append(s.Others, p.Others...)
	}
	slices.SortFunc(s.Processes, func(a, b []Process) int {
		both := Pass{Processes: []Process{b[0], a[0]}}
		both.Sort()
		first := both.Processes[0]
		if first.Worker == a[0].Worker && first.Slot == a[0].Slot && first.Role == a[0].Role {
			return -1
		}
		return 1
	})
	slices.SortFunc(s.Workers, func(a, b []Worker) int { return cmp.Compare(a[0].Worker, b[0].Worker) })
	return s
}

// follow appends a record to the stream that it is of.
func follow[T any](streams [][]T, r T, same func(T) bool) [][]T {
	for i, s := range streams {
		if same(s[0]) {
			streams[i] = append(s, r)
			return streams
		}
	}
	return append(streams, []T{r})
}

// TestDecodeAnything: series with holes, out of order, repeated, stale and of
// several droplets decode as the plainest decoder has it.
func TestDecodeAnything(t *testing.T) {
	point := rapid.Custom(func(t *rapid.T) Point {
		p := Point{At: rapid.Int64Range(1, 9).Draw(t, "at"), V: float64(rapid.IntRange(0, 1e6).Draw(t, "v"))}
		if rapid.IntRange(0, 9).Draw(t, "stale") == 0 {
			p.V = StaleMarker()
		}
		return p
	})
	one := rapid.Custom(func(t *rapid.T) Series {
		droplet, worker := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "droplet"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "worker")
		s := Series{Points: rapid.SliceOfN(point, 0, 12).Draw(t, "points")}
		switch rapid.IntRange(0, 4).Draw(t, "what") {
		case 0:
			s.Labels = labels(MetricName, nameOther, "droplet", droplet, "name", worker)
		case 1:
			s.Labels = labels(MetricName, "dropleak_worker_memory_limit_bytes", "droplet", droplet, "worker", worker)
		case 2:
			s.Labels = labels(MetricName, "dropleak_droplet_memory_total_bytes", "droplet", droplet)
		default:
			s.Labels = labels(MetricName, nameMemory, "droplet", droplet, "worker", worker, "role", "child",
				"kind", rapid.SampledFrom([]string{"rss", "pss", "swap"}).Draw(t, "kind"),
				"slot", rapid.SampledFrom([]string{"main", "0", "2", "10"}).Draw(t, "slot"))
		}
		return s
	})
	var room Room // with what the checks before left in it
	rapid.Check(t, func(t *rapid.T) {
		series := rapid.SliceOfN(one, 0, 12).Draw(t, "series")
		got, foreign := Decode(series)
		if d := gocmp.Diff(bySearch(series), got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" || len(foreign) > 0 {
			t.Fatalf("passes (-want +got), foreign %v:\n%s", foreign, d)
		}
		for _, s := range room.Decode(series) {
			if d := gocmp.Diff(along(got, s.Droplet), s, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("streams (-passes +got):\n%s", d)
			}
			got = slices.DeleteFunc(got, func(p Pass) bool { return p.dropletName() == s.Droplet })
		}
		if len(got) > 0 {
			t.Fatalf("passes without a stream: %v", got)
		}
	})
}

// BenchmarkDecode is six hours of 16 workers at a pass a minute.
func BenchmarkDecode(b *testing.B) {
	var series []Series
	points := 0
	for w := range 16 {
		for _, s := range Encode(Pass{Processes: []Process{{At: at, Droplet: "1", Worker: "w" + strconv.Itoa(w), Slot: SlotMain, Role: "parent", PID: 7,
			Start: at, RSS: 1, PSS: 1, USS: 1, Swap: 0, CPU: 1}}}) {
			for m := range 359 {
				s.Points = append(s.Points, Point{At: s.Points[m].At + 60_000, V: 4096})
			}
			series, points = append(series, s), points+len(s.Points)
		}
	}
	b.ReportAllocs()
	var room Room
	for b.Loop() {
		room.Decode(series)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*points), "ns/point")
}
