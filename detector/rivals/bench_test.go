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
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/corpus"
	"github.com/dropleak/dropleak/detector/synth"
)

var (
	seriesFlag   = flag.Int("series", 1, "generated series a family")
	firstFlag    = flag.Uint64("first", 1_000_000, "first seed; calibration uses those below a million")
	looksFlag    = flag.Int("looks", 10, "looks at each series, as alerts come")
	everyFlag    = flag.Duration("every", 0, "look that often instead, as the service does")
	patienceFlag = flag.Duration("patience", 0, "what the service asks of a leak, see detector.Options")
	daysFlag     = flag.Float64("days", 0, "length of the generated series; 0: drawn, and 1.4 in the smoke run")
	recordsFlag  = flag.Bool("recordings", false, "judge the reported halves of the recordings too")
	familyFlag   = flag.String("families", "", "comma-separated families; empty: all")
	mdFlag       = flag.String("md", "", "write the tables as Markdown to this file")
	rivalsFlag   = flag.Int("rivals", -1, "generated series a family that the rivals judge too; -1: all")
	budgetFlag   = flag.Duration("budget", 0, "begin no more series after this time; 0: no end")
	missFlag     = flag.Bool("misses", false, "list every miss and false alarm of dropleak")
)

// report is everything one run measured.
type report struct {
	mu      sync.Mutex
	scores  map[[2]string][]*score // by set and family; dropleak first, then the rivals
	numbers map[string]*numbers    // by set
	misses  []string
	hosts   map[string]*hosts // by droplet family
	done    int
	made    int // series a family
}

// hosts counts droplets of one family at the last look.
type hosts struct{ n, alarms, blamed, named int }

func newReport() *report {
	return &report{scores: map[[2]string][]*score{}, numbers: map[string]*numbers{}, hosts: map[string]*hosts{}}
}

// add judges a subject and counts it.
func (r *report) add(s subject, beside bool) {
	looks := judge(s, *looksFlag, beside)
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{s.set, s.family}
	if r.scores[key] == nil {
		for range 1 + len(All()) {
			r.scores[key] = append(r.scores[key], &score{})
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

// addDroplet judges a droplet once, at its end, with its workers.
func (r *report) addDroplet(c synth.DropletCase) {
	var verdicts []detector.Verdict
	for _, w := range c.Workers {
		verdicts = append(verdicts, detector.Judge(w, c.At, detector.Options{}))
	}
	v := detector.JudgeDroplet(c.Droplet, c.Workers, verdicts, c.At, detector.Options{})
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.hosts[c.Family]
	if n == nil {
		n = &hosts{}
		r.hosts[c.Family] = n
	}
	n.n++
	if !v.Kind.Leaks() {
		return
	}
	n.alarms++
	if c.Culprit == "" {
		return
	}
	n.blamed++
	first := v.Suspect
	if len(v.Workers) > 0 && first == "" {
		first = v.Workers[0].Name
	}
	if first == c.Culprit {
		n.named++
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
	work := make(chan func())
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for judge := range work {
				judge()
			}
		})
	}
	begun := time.Now()
	for i := range uint64(*seriesFlag) {
		if *budgetFlag > 0 && time.Since(begun) > *budgetFlag {
			fmt.Fprintf(os.Stderr, "bench-detect: the budget is spent after %d series a family\n", i)
			break
		}
		r.made++
		beside := *rivalsFlag < 0 || i < uint64(*rivalsFlag)
		for _, f := range families() {
			work <- func() { r.add(ofCase(f.Make(*firstFlag+i, synth.Params{Days: *daysFlag})), beside) }
		}
		for _, f := range synth.DropletFamilies() {
			work <- func() { r.addDroplet(f.Make(*firstFlag+i, synth.Params{Days: *daysFlag})) }
		}
	}
	for _, s := range recorded(t, dir) {
		work <- func() { r.add(s, *rivalsFlag != 0) }
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
	nodes, err := corpus.Celery(dir, true)
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
	dir := os.Getenv(corpus.Env)
	if !*recordsFlag {
		dir = ""
	} else if dir == "" {
		t.Fatalf("-recordings needs %s, the folder with the labelled recordings", corpus.Env)
	}
	if *seriesFlag == 1 && *daysFlag == 0 {
		*daysFlag = 1.4
	}
	r := measure(t, dir)
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
	if *docFlag != "" {
		if err := r.publishTo(*docFlag, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	all := r.total("synth")
	if all[0].leaks == 0 || all[0].healthy == 0 {
		t.Fatal("nothing was measured")
	}
	if *rivalsFlag == 0 {
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
