package report

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/detector"
)

// begins is how the processes of a pool look before anything grows, in MiB.
type begins struct{ rss, pss, parentRSS, parentPSS float64 }

var ordinary = begins{rss: 200, pss: 150, parentRSS: 120, parentPSS: 90}

// life is a process read every ten minutes for a day; from noon on it grows
// by so many MiB an hour.
func life(pid int, role detector.Role, rss, pss, grows float64) detector.Life {
	l := detector.Life{PID: pid, Start: noon.Add(-24 * time.Hour), Role: role}
	for at := l.Start; !at.After(noon); at = at.Add(10 * time.Minute) {
		more := grows * max(at.Sub(l.Start).Hours()-12, 0)
		l.Samples = append(l.Samples, detector.Sample{At: at, RSS: (rss + more) * mib, PSS: (pss + more) * mib, USS: math.NaN(), Swap: math.NaN(), CPU: math.NaN()})
	}
	return l
}

// pool is a prefork worker with a limit of 2 GiB, whose children grow.
func pool(b begins, children int, grows float64) detector.Worker {
	w := detector.Worker{Name: "mail", Pool: detector.PoolPrefork, Limit: detector.Limit{Bytes: 2048 * mib, Source: "memory.max"},
		Lives: []detector.Life{life(100, detector.RoleParent, b.parentRSS, b.parentPSS, 0)}}
	for i := range children {
		w.Lives = append(w.Lives, life(101+i, detector.RoleChild, b.rss, b.pss, grows))
	}
	return w
}

// leaking is the verdict on a pool whose children grow; mail.render does it.
func leaking() detector.Verdict {
	return detector.Verdict{Kind: detector.Leak, Reason: detector.ReasonLeak, Metric: "pss+swap", Footprint: 1170 * mib, Tasks: []detector.TaskVerdict{
		{Task: "mail.render", Kind: detector.TaskLeak, BytesPerCall: detector.Interval{Low: 40 << 10, Value: 44 << 10, High: 51 << 10}},
		{Task: "mail.send", Kind: detector.TaskClear}, {Task: "mail.sort", Kind: detector.TaskUnsure}}}
}

// advised is the case of such a pool under systemd on a droplet of 4 GiB.
func advised(change ...func(*Case)) Case {
	c := Case{Worker: pool(ordinary, 4, 10), Verdict: leaking(), Total: 4096 * mib, Leaking: 1, Manager: "systemd", Unit: "celery-mail.service", Together: 1}
	for _, f := range change {
		f(&c)
	}
	return c
}

func words(a Advice) string {
	all := []string{a.Misfit}
	for _, s := range a.Settings {
		all = append(all, s.Title, s.Text, s.Why)
	}
	return strings.Join(append(all, a.Without...), "\n")
}

// The arithmetic, in MiB. The settled pool holds 90 + 4·150 = 690. 80 % of
// 2048 is 1638.4; less 690 that is 948.4, or 237.1 a child above its 200:
// 437, which are 447,488 KiB. 237 MiB are 242,688 KiB, or 4,758 calls of
// 51 KiB, rounded down to 4,700. 90 % of 2048 is 1843.2.
func TestAdviceNumbers(t *testing.T) {
	droplet := func(c *Case) { c.Worker.Limit = detector.Limit{Bytes: 3000 * mib, Source: "droplet"} }
	for _, x := range []struct {
		name   string
		change []func(*Case)
		want   []string
		not    []string
	}{
		{name: "under a limit", want: []string{"worker_max_memory_per_child = 447488\n", "worker_max_tasks_per_child = 4700\n", "MemoryHigh=1843M", "`MemoryMax` is in force already"}, not: []string{"MemoryMax="}},
		// 3000 less 409.6 kept free is 2590.4; 80 % are 2072.32, less 690 are 345.58 a child: 545.
		{name: "the droplet's own memory", change: []func(*Case){droplet}, want: []string{"per_child = 558080\n", "MemoryHigh=2331M\nMemoryMax=2590M"}},
		// 2590.4 less the 1170 held are 1420.4; half of it makes 1880.2. 80 % are 1504.16, less 690 are 203.54: 403.
		{name: "shared with another leak", change: []func(*Case){droplet, func(c *Case) { c.Leaking = 2 }}, want: []string{"per_child = 412672\n", "MemoryMax=1880M", "2 workers that leak"}},
		// Resident sizes alone: 120 + 4·200 = 920; 1638.4 - 920 = 718.4, 179.6 a child: 379.
		{name: "without PSS", change: []func(*Case){func(c *Case) { c.Worker = pool(begins{rss: 200, parentRSS: 120}, 4, 10); noPSS(c) }}, want: []string{"per_child = 388096\n", "counts shared pages once for each"}},
		// Now 4·320+120 = 1400 resident, 4·270+90 = 1170 PSS: 230 more than 1843.2.
		{name: "supervisor", change: []func(*Case){func(c *Case) { c.Manager, c.Unit = "supervisor", "celery:mail" }}, want: []string{"[eventlistener:memmon-mail]\ncommand=memmon -c -p celery:mail=2073MB\nevents=TICK_60", "per_child = 447488\n"}, not: []string{"MemoryHigh"}},
		{name: "a limit in force", change: []func(*Case){func(c *Case) { c.Worker.High = 1800 * mib }}, want: []string{"they are 1.8 GiB and 2.0 GiB already"}, not: []string{"MemoryHigh="}},
		{name: "no manager known", change: []func(*Case){func(c *Case) { c.Manager, c.Unit, c.Together = "", "", 0 }}, want: []string{"UNIT.service", "manager starts it is not known"}},
		{name: "workers together", change: []func(*Case){func(c *Case) { c.Together = 3 }}, want: []string{"3 workers live in it", "per_child = 447488\n"}, not: []string{"MemoryHigh="}},
		{name: "no task measured", change: []func(*Case){func(c *Case) { c.Verdict.Tasks = nil }}, want: []string{"per_child = 447488\n", "a task leaves behind was not measured"}, not: []string{"tasks_per_child ="}},
		{name: "a task too large", change: []func(*Case){func(c *Case) { c.Verdict.Tasks[0].BytesPerCall.High = 300 * mib }}, want: []string{"one call of `mail.render` may leave 300 MiB"}, not: []string{"tasks_per_child ="}},
		{name: "no limit known", change: []func(*Case){func(c *Case) { c.Worker.Limit = detector.Limit{} }}, want: []string{"No size is suggested"}, not: []string{"per_child", "MemoryHigh"}},
		{name: "no droplet known", change: []func(*Case){droplet, func(c *Case) { c.Total = 0 }}, want: []string{"droplet's memory is not known"}, not: []string{"per_child", "MemoryHigh"}},
		{name: "nothing left", change: []func(*Case){droplet, func(c *Case) { c.Verdict.Footprint = 2900 * mib }}, want: []string{"Restart it first"}, not: []string{"per_child", "MemoryHigh"}},
		{name: "the parent grows", change: []func(*Case){func(c *Case) { c.Verdict.Reason = detector.ReasonLeakingParent }}, want: []string{"the parent itself grows", "MemoryHigh=1843M"}, not: []string{"per_child ="}},
		// A child is forked at its parent's size: 430 + 16 is above 437.
		{name: "a large parent", change: []func(*Case){func(c *Case) {
			c.Worker = pool(begins{rss: 200, pss: 150, parentRSS: 430, parentPSS: 90}, 4, 10)
		}}, want: []string{"437 MiB a child is all that fits 4 of them", "an ordinary task needs 446 MiB"}, not: []string{"per_child ="}},
		{name: "a task that peaks", change: []func(*Case){func(c *Case) { c.Worker.Lives[1].Samples[40].RSS += 300 * mib }}, want: []string{"an ordinary task needs 516 MiB"}, not: []string{"per_child ="}},
		{name: "seen late", change: []func(*Case){func(c *Case) { c.Worker.Lives[1].Start = noon.Add(-72 * time.Hour) }}, want: []string{"as first seen"}},
		{name: "too young", change: []func(*Case){func(c *Case) {
			for i := range c.Worker.Lives {
				c.Worker.Lives[i].Samples = c.Worker.Lives[i].Samples[143:]
			}
		}}, want: []string{"was not measured"}, not: []string{"per_child ="}},
	} {
		t.Run(x.name, func(t *testing.T) {
			got := words(Advise(advised(x.change...))) + "\n"
			for _, w := range x.want {
				if !strings.Contains(got, w) {
					t.Errorf("no %q in:\n%s", w, got)
				}
			}
			for _, w := range x.not {
				if strings.Contains(got, w) {
					t.Errorf("%q in:\n%s", w, got)
				}
			}
			if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") || strings.Contains(got, "%!") {
				t.Errorf("a number that is none:\n%s", got)
			}
		})
	}
}

func noPSS(c *Case) {
	for _, l := range c.Worker.Lives {
		for i := range l.Samples {
			l.Samples[i].PSS = math.NaN()
		}
	}
}

// TestOnlyPreforkRecycles: elsewhere Celery ignores the settings.
func TestOnlyPreforkRecycles(t *testing.T) {
	for _, p := range []detector.Pool{detector.PoolUnknown, detector.PoolSolo, detector.PoolThreads, detector.PoolEventlet, detector.PoolGevent, "custom"} {
		a := Advise(advised(func(c *Case) { c.Worker.Pool = p }))
		for _, s := range a.Settings {
			if strings.Contains(s.Text, "per_child") {
				t.Errorf("pool %q: %s", p, s.Text)
			}
		}
		if !strings.Contains(words(a), "No `max_*_per_child`") || !strings.Contains(words(a), "MemoryHigh=") {
			t.Errorf("pool %q: %s", p, words(a))
		}
	}
}

// Eight children of 520 and a parent of 120 are 4280 MiB, 184 more than the
// droplet has; 80 % of 4096 is 3276.8, less 120 room for 6. Seven are 3760.
func TestMisfit(t *testing.T) {
	big := begins{rss: 600, pss: 520, parentRSS: 150, parentPSS: 120}
	healthy := detector.Verdict{Kind: detector.Healthy, Reason: detector.ReasonFlat}
	for _, x := range []struct {
		name     string
		children int
		verdict  detector.Verdict
		change   func(*Case)
		want     string
	}{
		{"eight", 8, healthy, nil, "This is a misconfiguration, not a leak: 8 pool processes settle at 520 MiB each and their parent at 120 MiB, 4.2 GiB together, and the droplet has 4.0 GiB. 6 of them fit into 80 % of that: start it with `-c 6`, or on a larger droplet."},
		{"seven", 7, healthy, nil, ""},
		{"eight that leak", 8, leaking(), nil, "Besides the leak this is a misconfiguration"},
		{"eight that leak, seen late", 8, leaking(), func(c *Case) { c.Worker.Lives[1].Start = time.Time{} }, ""},
		{"eight by resident size", 8, healthy, noPSS, ""},
		{"eight on an unknown droplet", 8, healthy, func(c *Case) { c.Total = 0 }, ""},
		{"eight greenlets", 8, healthy, func(c *Case) { c.Worker.Pool = detector.PoolGevent }, ""},
		{"two on a small droplet", 2, healthy, func(c *Case) { c.Total = 512 * mib }, "Not even one of them fits"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := Case{Worker: pool(big, x.children, 0), Verdict: x.verdict, Total: 4096 * mib}
			if x.change != nil {
				x.change(&c)
			}
			a := Advise(c)
			if x.want == "" && a.Misfit != "" || !strings.Contains(a.Misfit, x.want) {
				t.Errorf("misfit %q, want %q", a.Misfit, x.want)
			}
			if !c.Verdict.Kind.Leaks() && (len(a.Settings) > 0 || len(a.Causes) > 0) {
				t.Errorf("a healthy worker is told %v and %v", a.Settings, a.Causes)
			}
		})
	}
}

func TestCauses(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*Case)
		first  string
		why    string
		told   bool
	}{
		{"one task of two", func(*Case) {}, "Unbounded caches", "Only `mail.render` leaks, 44 KiB a call, and 1 other task does not", true},
		{"every task", func(c *Case) { c.Verdict.Tasks[1].Kind = detector.TaskLeak }, "Third-party", "All 2 tasks that could be told leak", true},
		{"the parent", func(c *Case) { c.Verdict.Reason, c.Verdict.Tasks = detector.ReasonLeakingParent, nil }, "Unbounded caches", "The parent grows", true},
		{"every child", func(c *Case) {
			c.Verdict.Tasks = nil
			c.Verdict.Processes = []detector.ProcessVerdict{{PID: 101, Role: detector.RoleChild, Kind: detector.Leak}, {PID: 102, Role: detector.RoleChild, Kind: detector.Leak}}
		}, "Third-party", "All 2 pool processes grow", true},
		{"one child", func(c *Case) {
			c.Verdict.Tasks = nil
			c.Verdict.Processes = []detector.ProcessVerdict{{PID: 101, Role: detector.RoleChild, Kind: detector.Leak}, {PID: 102, Role: detector.RoleChild, Kind: detector.Healthy}}
		}, "Unbounded caches", "1 of 2 pool processes grow", true},
		{"open files", func(c *Case) {
			c.Open = []Open{{PID: 101, Role: detector.RoleChild, All: 800, Files: 700, InSockets: 20}}
		}, "Unclosed", "Process 101 (child) had 800 descriptors open, 700 files and 20 sockets", true},
		{"falls", func(c *Case) {
			c.Verdict.Tasks = nil
			for i := range c.Worker.Lives[1].Samples {
				c.Worker.Lives[1].Samples[i].RSS = (200 + 4*float64(i%40)) * mib
			}
		}, "Reference cycles", "gave memory back 3 times", true},
		{"nothing", func(c *Case) { c.Verdict.Tasks, c.Worker.Lives = nil, nil }, "Unbounded caches", "", false},
	} {
		t.Run(x.name, func(t *testing.T) {
			a := Advise(advised(x.change))
			if len(a.Causes) != 4 {
				t.Fatalf("%d causes", len(a.Causes))
			}
			if c := a.Causes[0]; !strings.HasPrefix(c.Name, x.first) || !strings.Contains(c.Why, x.why) || a.Told != x.told {
				t.Errorf("first is %s, %q, told %v", c.Name, c.Why, a.Told)
			}
		})
	}
	quiet := Advise(advised(func(c *Case) { c.Open = []Open{{PID: 101, All: 20}} }))
	if last := quiet.Causes[3]; last.Name != "Unclosed resources" || !strings.Contains(last.Why, "more than 20") {
		t.Errorf("the last cause is %s, %s", last.Name, last.Why)
	}
}

// TestASoloParentRunsTasks: only of a prefork parent it is true that it runs
// none.
func TestASoloParentRunsTasks(t *testing.T) {
	a := Advise(advised(func(c *Case) {
		c.Worker.Pool, c.Verdict.Tasks, c.Verdict.Reason = detector.PoolSolo, nil, detector.ReasonLeakingParent
	}))
	for _, c := range a.Causes {
		if strings.Contains(c.Why, "runs no tasks") {
			t.Error(c.Why)
		}
	}
}

// TestAdviceIsInert: what comes from outside neither mentions nor escapes its
// fence.
func TestAdviceIsInert(t *testing.T) {
	a := Advise(advised(func(c *Case) {
		c.Verdict.Tasks[0].Task, c.Unit, c.Worker.Limit.Source = "<!channel> `x`", "a```<@U0ANNA>.service", "<!here>"
	}))
	for _, b := range a.Blocks() {
		text := fmtBlock(t, b)
		if strings.Contains(text, "<!") || strings.Contains(text, "<@") || strings.Count(text, "```")%2 != 0 {
			t.Error(text)
		}
	}
	if b := Advise(Case{Verdict: detector.Verdict{Kind: detector.Healthy}}).Blocks(); b != nil {
		t.Errorf("advice for nothing: %v", b)
	}
}

func fmtBlock(t *testing.T, b slack.Block) string {
	t.Helper()
	switch x := b.(type) {
	case *slack.SectionBlock:
		return x.Text.Text
	case *slack.HeaderBlock:
		return x.Text.Text
	case *slack.ContextBlock:
		return x.ContextElements.Elements[0].(*slack.TextBlockObject).Text
	}
	t.Fatalf("a block of type %s", b.BlockType())
	return ""
}
