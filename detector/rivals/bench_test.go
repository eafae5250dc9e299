package rivals

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dropleak/dropleak/detector/corpus"
	"github.com/dropleak/dropleak/detector/synth"
)

var (
	seriesFlag = flag.Int("series", 2, "generated series a family")
	firstFlag  = flag.Uint64("first", 1_000_000, "first seed; calibration uses those below a million")
	looksFlag  = flag.Int("looks", 10, "looks at each series, as alerts come")
	daysFlag   = flag.Float64("days", 0, "length of the generated series; 0: drawn")
	familyFlag = flag.String("families", "", "comma-separated families; empty: all")
	mdFlag     = flag.String("md", "", "write the tables as Markdown to this file")
	aloneFlag  = flag.Bool("alone", false, "judge with dropleak alone")
	missFlag   = flag.Bool("misses", false, "list every miss and false alarm of dropleak")
)

// report is everything one run measured.
type report struct {
	mu      sync.Mutex
	scores  map[[2]string][]*score // by set and family; dropleak first, then the rivals
	numbers map[string]*numbers    // by set
	misses  []string
	done    int
}

func newReport() *report {
	return &report{scores: map[[2]string][]*score{}, numbers: map[string]*numbers{}}
}

// add judges a subject and counts it.
func (r *report) add(s subject) {
	looks := judge(s, *looksFlag)
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{s.set, s.family}
	if r.scores[key] == nil {
		r.scores[key] = make([]*score, len(looks))
		for i := range looks {
			r.scores[key][i] = &score{}
		}
	}
	if r.numbers[s.set] == nil {
		r.numbers[s.set] = &numbers{}
	}
	for i, l := range looks {
		r.scores[key][i].add(s, l)
	}
	r.numbers[s.set].add(s, looks[0][len(looks[0])-1].verdict)
	r.note(s, looks[0])
	if r.done++; r.done%500 == 0 {
		fmt.Fprintf(os.Stderr, "bench-detect: %d series judged\n", r.done)
	}
}

// note keeps a line for every miss and false alarm of dropleak.
func (r *report) note(s subject, looks []look) {
	one := &score{}
	one.add(s, looks)
	if one.leaks == one.found && one.falsely == 0 && one.early == 0 {
		return
	}
	line := fmt.Sprintf("%s %s %s:", s.set, s.family, s.name)
	for _, l := range looks {
		line += fmt.Sprintf(" %s/%s", l.verdict.Kind, l.verdict.Reason)
	}
	r.misses = append(r.misses, line)
}

// families are those asked for.
func families() []synth.Family {
	all := synth.Families()
	if *familyFlag == "" {
		return all
	}
	want := strings.Split(*familyFlag, ",")
	return slices.DeleteFunc(all, func(f synth.Family) bool { return !slices.Contains(want, f.Name) })
}

// measure judges everything there is, on all cores.
func measure(t *testing.T, dir string) *report {
	r := newReport()
	work := make(chan func() subject)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for make := range work {
				r.add(make())
			}
		})
	}
	for i := range uint64(*seriesFlag) {
		for _, f := range families() {
			work <- func() subject { return ofCase(f.Make(*firstFlag+i, synth.Params{Days: *daysFlag})) }
		}
	}
	for _, s := range recorded(t, dir) {
		work <- func() subject { return s }
	}
	close(work)
	wg.Wait()
	return r
}

// recorded are the halves of the recordings that are only reported.
func recorded(t *testing.T, dir string) []subject {
	if dir == "" {
		return nil
	}
	var out []subject
	nodes, err := corpus.Celery(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	real, err := corpus.Real(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if n.Half == corpus.Report {
			out = append(out, ofRecording(n, "celery"))
		}
	}
	for _, s := range real {
		if s.Half == corpus.Report && s.Strength != corpus.Unknown {
			out = append(out, ofRecording(s, "real"))
		}
	}
	return out
}

// TestBenchDetect measures dropleak and the rivals on the same data and
// prints the tables of docs/detection.md. "make bench-detect" runs it whole;
// by itself it is a small smoke run.
func TestBenchDetect(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for seconds")
	}
	r := measure(t, os.Getenv(corpus.Env))
	var text strings.Builder
	r.print(&text, plain)
	fmt.Println(text.String())
	if *missFlag {
		slices.Sort(r.misses)
		fmt.Println(strings.Join(r.misses, "\n"))
	}
	if *mdFlag != "" {
		var md strings.Builder
		r.print(&md, markdown)
		if err := os.WriteFile(*mdFlag, []byte(md.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all := r.total("synth")
	if all[0].leaks == 0 || all[0].healthy == 0 {
		t.Fatal("nothing was measured")
	}
	if *aloneFlag {
		return
	}
	for i, c := range all {
		if i > 0 && c.found == 0 {
			t.Errorf("%s found none of %d leaks: it is not what others use", All()[i-1].Name, c.leaks)
		}
	}
	if dl, best := all[0].precisionAt(0.5), all[1].precisionAt(0.5); *familyFlag == "" && dl <= best {
		t.Errorf("dropleak's precision %.2f is not above predict_linear's %.2f", dl, best)
	}
}
