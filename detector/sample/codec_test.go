package sample

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var at = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// onePass is a droplet with one prefork worker, as the agent reads it.
func onePass() Pass {
	process := func(slot, role string, pid int, rss float64) Process {
		return Process{At: at, Droplet: "42", Worker: "mail@web1", Slot: slot, Role: role, PID: pid,
			Start: at.Add(-time.Hour), RSS: rss, PSS: rss / 2, USS: rss / 4, Swap: 0, CPU: 1.25}
	}
	return Pass{
		Processes: []Process{process("main", "parent", 100, 4096), process("0", "child", 101, 8192)},
		Workers: []Worker{{At: at, Droplet: "42", Worker: "mail@web1", Node: "mail@web1", Pool: "prefork", App: "shop", Unit: "mail.service",
			Manager: "systemd", Limit: 1 << 30, High: NaN, Current: 9999, Pressure: 0.25, OOMKills: 3}},
		Droplet: &Droplet{At: at, Droplet: "42", Available: 5e8, Total: 1e9, Shmem: 1e6, Slab: 2e6, SwapUsed: 0,
			OOMKills: 1, Boot: at.Add(-24 * time.Hour)},
		Others: []Other{{At: at, Droplet: "42", Name: "postgres", Memory: 3e8}, {At: at, Droplet: "42", Name: "redis-server", Memory: 1e8}},
	}
}

// text is a series as Prometheus prints it.
func text(s Series) string {
	var b strings.Builder
	for i, l := range s.Labels {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(l.Name + "=" + l.Value)
	}
	return b.String()
}

func TestEncodeNames(t *testing.T) {
	want := []string{
		"__name__=dropleak_process_memory_bytes,droplet=42,kind=rss,role=parent,slot=main,worker=mail@web1",
		"__name__=dropleak_process_memory_bytes,droplet=42,kind=pss,role=parent,slot=main,worker=mail@web1",
		"__name__=dropleak_process_memory_bytes,droplet=42,kind=uss,role=parent,slot=main,worker=mail@web1",
		"__name__=dropleak_process_memory_bytes,droplet=42,kind=swap,role=parent,slot=main,worker=mail@web1",
		"__name__=dropleak_process_start_time_seconds,droplet=42,role=parent,slot=main,worker=mail@web1",
		"__name__=dropleak_process_pid,droplet=42,role=parent,slot=main,worker=mail@web1",
		"__name__=dropleak_process_cpu_seconds_total,droplet=42,role=parent,slot=main,worker=mail@web1",
		"__name__=dropleak_worker_info,app=shop,droplet=42,manager=systemd,node=mail@web1,pool=prefork,unit=mail.service,worker=mail@web1",
		"__name__=dropleak_worker_memory_limit_bytes,droplet=42,worker=mail@web1",
		"__name__=dropleak_worker_memory_current_bytes,droplet=42,worker=mail@web1",
		"__name__=dropleak_worker_memory_pressure_ratio,droplet=42,worker=mail@web1",
		"__name__=dropleak_worker_oom_kills_total,droplet=42,worker=mail@web1",
		"__name__=dropleak_droplet_memory_available_bytes,droplet=42",
		"__name__=dropleak_droplet_memory_total_bytes,droplet=42",
		"__name__=dropleak_droplet_shmem_bytes,droplet=42",
		"__name__=dropleak_droplet_slab_bytes,droplet=42",
		"__name__=dropleak_droplet_swap_used_bytes,droplet=42",
		"__name__=dropleak_droplet_oom_kills_total,droplet=42",
		"__name__=dropleak_droplet_boot_time_seconds,droplet=42",
		"__name__=dropleak_other_memory_bytes,droplet=42,name=postgres",
		"__name__=dropleak_other_memory_bytes,droplet=42,name=redis-server",
	}
	p := onePass()
	p.Processes = p.Processes[:1]
	var got []string
	for _, s := range Encode(p) {
		got = append(got, text(s))
		if len(s.Points) != 1 || s.Points[0].At != at.UnixMilli() {
			t.Errorf("%s: points %v, want one at the pass's time", text(s), s.Points)
		}
		if !Known(s.Name()) {
			t.Errorf("Known(%q) = false", s.Name())
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("series (-want +got):\n%s", d)
	}
}

func TestRoundTrip(t *testing.T) {
	want := onePass()
	got, foreign := Decode(Encode(want))
	if d := cmp.Diff([]Pass{want}, got, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("pass (-want +got):\n%s", d)
	}
	if foreign != nil {
		t.Errorf("foreign = %v, want none", foreign)
	}
}

// TestRoundTripAny draws passes with holes, several workers and several
// droplets; whatever was measured comes back, whatever was not stays NaN.
func TestRoundTripAny(t *testing.T) {
	value := rapid.Custom(func(t *rapid.T) float64 {
		if rapid.Bool().Draw(t, "absent") {
			return NaN
		}
		return float64(rapid.Int64Range(0, 1<<50).Draw(t, "bytes"))
	})
	rapid.Check(t, func(t *rapid.T) {
		p := Pass{}
		for _, w := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,4}@h`), 0, 3, rapid.ID).Draw(t, "workers") {
			p.Workers = append(p.Workers, Worker{At: at, Droplet: "7", Worker: w, Limit: value.Draw(t, "limit"),
				High: value.Draw(t, "high"), Current: NaN, Pressure: NaN, OOMKills: value.Draw(t, "oom")})
			for i := range rapid.IntRange(0, 4).Draw(t, "children") {
				p.Processes = append(p.Processes, Process{At: at, Droplet: "7", Worker: w, Role: "child", PID: 100 + i,
					Start: at.Add(-time.Duration(i) * time.Minute), RSS: value.Draw(t, "rss"), PSS: value.Draw(t, "pss"),
					USS: NaN, Swap: value.Draw(t, "swap"), CPU: value.Draw(t, "cpu")})
			}
		}
		new(Slots).Assign(&p)
		p.Sort()
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		got, _ := Decode(Encode(p))
		want := []Pass{p}
		if len(p.Workers) == 0 {
			want = []Pass{}
		}
		if d := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("pass (-want +got):\n%s", d)
		}
	})
}

func TestDecodeManyPasses(t *testing.T) {
	series := Encode(onePass())
	for i := range series {
		p := series[i].Points[0]
		series[i].Points = append(series[i].Points, Point{p.At + 60_000, p.V}, Point{p.At + 120_000, StaleMarker()})
	}
	series = append(series, Series{Labels: labels(MetricName, "up", "job", "x"), Points: []Point{{1, 1}}},
		Series{Labels: labels(MetricName, nameMemory, "kind", "vsz"), Points: []Point{{1, 1}}})
	passes, foreign := Decode(series)
	if len(passes) != 2 || len(passes[1].Processes) != 2 || !passes[1].Droplet.At.Equal(at.Add(time.Minute)) {
		t.Errorf("passes = %+v, want two, a minute apart; stale markers are no pass", passes)
	}
	if len(foreign) != 2 {
		t.Errorf("foreign = %v, want up and the unknown kind", foreign)
	}
}

func TestStale(t *testing.T) {
	before := onePass()
	after := onePass()
	after.Processes = after.Processes[:1]
	got := Stale(Encode(before), Encode(after), at.UnixMilli()+60_000)
	if len(got) != 7 {
		t.Fatalf("%d stale series, want the seven of slot 0: %v", len(got), got)
	}
	for _, s := range got {
		p := s.Points[0]
		if s.Get("slot") != "0" || p.At != at.UnixMilli()+60_000 || !IsStale(p.V) || math.Float64bits(p.V) != 0x7ff0000000000002 {
			t.Errorf("%s: %v", text(s), p)
		}
	}
	if IsStale(NaN) {
		t.Error("an ordinary NaN reads as a stale marker")
	}
}

func TestValidate(t *testing.T) {
	p := onePass()
	p.Processes[1].At = at.Add(time.Second)
	if p.Validate() == nil {
		t.Error("two times in one pass went through")
	}
	p = onePass()
	p.Processes[1].Slot = "main"
	if p.Validate() == nil {
		t.Error("one slot twice went through")
	}
	if err := onePass().Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("dropleak_process_memory_bytes", "rss", "w", "0", 1.5, int64(1000))
	f.Add("dropleak_process_pid", "", "", "", math.Inf(1), int64(-1))
	f.Add("dropleak_droplet_boot_time_seconds", "", "", "", 1e300, int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, name, kind, worker, slot string, v float64, ms int64) {
		passes, foreign := Decode([]Series{{Labels: labels(MetricName, name, "kind", kind, "worker", worker, "slot", slot),
			Points: []Point{{ms, v}}}})
		if len(passes)+len(foreign) > 1 {
			t.Errorf("one point became %d passes and %d foreign series", len(passes), len(foreign))
		}
	})
}
