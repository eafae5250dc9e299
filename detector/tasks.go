package detector

import (
	"maps"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/mat"
)

// taskSlot is the least time over which growth is set against calls: long
// enough for the allocator's steps to follow their call, short enough that
// the mix of tasks still varies (recordings l6: from 10 minutes up, chance
// drowns it).
const taskSlot = 4 * time.Minute

// taskRow is one slot of one life: what it gained and which calls ran.
type taskRow struct {
	life, group int
	gain        float64
	calls       []float64
}

// attribute says what one call of each task leaves behind: the growth of
// each slot regressed, signed, on the calls of each task in it, after the
// mean of the life's age bin is taken from both, so that a warm-up, which is
// the same whatever runs, blames nobody. Coefficients are told against their
// median, because most tasks do not leak. The kinds are settled in
// [JudgeSummary], where the verdict on the worker is known.
//
// Source: the within transformation of fixed-effects panel regression; see
// J. Wooldridge, Econometric Analysis of Cross Section and Panel Data
// (2002), 10.5.
func attribute(w Worker, o Options) []TaskVerdict {
	if len(w.Tasks) == 0 {
		return nil
	}
	laid := layTasks(w, o)
	out := make([]TaskVerdict, len(laid.names))
	for k, n := range laid.names {
		out[k] = TaskVerdict{Task: n, Kind: TaskUnsure}
	}
	if !laid.overlap {
		regressTasks(out, laid.rows, o.defaults())
	}
	slices.SortStableFunc(out, func(a, b TaskVerdict) int {
		return -before2f(a.BytesPerCall.Value, b.BytesPerCall.Value)
	})
	return out
}

// laidTasks is growth and calls laid out by slots.
type laidTasks struct {
	rows         []taskRow
	names        []string // of the tasks that ran in a process that was measured
	runs, astray int      // executions there, and those that belong to no process that was measured
	overlap      bool     // many ran beside one another
}

func layTasks(w Worker, o Options) (laid laidTasks) {
	lives, th := tidyLives(w.Lives), o.defaults()
	byLife := runsByLife(w.Tasks, lives)
	laid.names = taskNames(slices.Concat(byLife...))
	for _, t := range w.Tasks {
		laid.astray += t.runs()
	}
	for i, l := range lives {
		for _, t := range byLife[i] {
			laid.runs += t.runs()
		}
		laid.overlap = laid.overlap || overlapping(byLife[i], th)
		laid.rows = append(laid.rows, taskRows(i, l, byLife[i], laid.names, o)...)
	}
	laid.astray -= laid.runs
	return laid
}

func before2f(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// runs is how many executions a record stands for; one without a task only
// says how many ran beside another.
func (t TaskRun) runs() int {
	if t.Task == "" {
		return 0
	}
	return max(t.Count, 1)
}

func taskNames(ts []TaskRun) []string {
	seen := map[string]bool{}
	for _, t := range ts {
		if t.Task != "" {
			seen[t.Task] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// runsByLife gives each life its executions, in order of their end.
func runsByLife(ts []TaskRun, lives []Life) [][]TaskRun {
	runs := make([][]TaskRun, len(lives))
	for _, t := range ts {
		for i, l := range lives {
			from, to := l.Samples[0].At, l.Samples[len(l.Samples)-1].At
			if !l.Start.IsZero() && l.Start.Before(from) {
				from = l.Start
			}
			if l.PID == t.PID && !t.Begin.Before(from.Add(-sameStart)) && !t.Begin.After(to.Add(sameStart)) {
				runs[i] = append(runs[i], t)
				break
			}
		}
	}
	for i := range runs {
		slices.SortStableFunc(runs[i], func(a, b TaskRun) int { return a.End.Compare(b.End) })
	}
	return runs
}

// overlapping reports whether more than one run in twenty began before the
// one before it ended: then the memory of a process tells tasks apart no more.
func overlapping(rs []TaskRun, th thresholds) bool {
	n, all := 0, 0
	for i, r := range rs {
		n += r.Beside
		all += r.runs()
		if i > 0 && r.Begin.Before(rs[i-1].End.Add(-10*time.Millisecond)) {
			n++
		}
	}
	return n > th.besideLeast && n > all/th.besidePart
}

// taskRows cuts a life into slots. The first hour, or the first twelfth of a
// short life, is start-up.
func taskRows(life int, l Life, rs []TaskRun, names []string, o Options) []taskRow {
	metric := o.Metric
	if metric == "" {
		metric = "rss"
	}
	readings := readings(l.Samples, metric)
	if len(readings) < 8 || len(rs) == 0 {
		return nil
	}
	from := time.Unix(0, readings[0].at)
	span := time.Duration(readings[len(readings)-1].at - readings[0].at)
	from = from.Add(min(time.Hour, span/12))
	slot := max(taskSlot, 2*span/time.Duration(len(readings)))
	n := int(span / slot)
	if n < 4 {
		return nil
	}
	floors, calls := make([]float64, n), make([][]float64, n)
	parts := make([][]float64, n)
	for _, r := range readings {
		if d := time.Duration(r.at - from.UnixNano()); d > 0 && int(d/slot) < n {
			parts[d/slot] = append(parts[d/slot], r.v+known(r.swap))
		}
	}
	for i := range parts {
		slices.Sort(parts[i])
		floors[i] = math.NaN()
		if len(parts[i]) > 0 {
			floors[i] = quantile(parts[i], lowQuantile)
		}
		calls[i] = make([]float64, len(names))
	}
	for _, r := range rs {
		if i := int(r.End.Sub(from) / slot); r.Task != "" && !r.End.Before(from) && i < n {
			k, _ := slices.BinarySearch(names, r.Task)
			calls[i][k] += float64(r.runs())
		}
	}
	var out []taskRow
	for i := 1; i < n; i++ {
		gain := floors[i] - floors[i-1]
		if math.IsNaN(gain) {
			continue
		}
		row := taskRow{life: life, group: life*64 + ageGroup(i, n), gain: gain, calls: make([]float64, len(names))}
		for k := range names {
			row.calls[k] = (calls[i-1][k] + calls[i][k]) / 2
		}
		out = append(out, row)
	}
	return out
}

// ageGroup bins slot i of n: a dozen slots to a bin, at most 24 bins, so that
// a warm-up is nearly straight within each.
func ageGroup(i, n int) int {
	bins := min(max(n/12, 4), 24)
	return i * bins / n
}

// demean takes the mean of each group from gains and calls.
func demean(rows []taskRow) {
	type sum struct {
		n, gain float64
		calls   []float64
	}
	groups := map[int]*sum{}
	for _, r := range rows {
		g := groups[r.group]
		if g == nil {
			g = &sum{calls: make([]float64, len(r.calls))}
			groups[r.group] = g
		}
		g.n++
		g.gain += r.gain
		for k, c := range r.calls {
			g.calls[k] += c
		}
	}
	for i := range rows {
		g := groups[rows[i].group]
		rows[i].gain -= g.gain / g.n
		for k := range rows[i].calls {
			rows[i].calls[k] -= g.calls[k] / g.n
		}
	}
}

// regressTasks fills in bytes per call with 90 % intervals and the names that
// cannot be told apart, and marks as leaking what stands out by taskZ.
func regressTasks(out []TaskVerdict, rows []taskRow, th thresholds) {
	k := len(out)
	if len(rows) < 3*k+6 {
		return
	}
	total, growth := make([]float64, k), 0.0
	for _, r := range rows {
		growth += r.gain
		for i, c := range r.calls {
			total[i] += c
		}
	}
	if k == 1 {
		onlyTask(&out[0], rows, th)
		return
	}
	demean(rows)
	tame(rows, th)
	y := make([]float64, len(rows))
	cols := make([][]float64, k)
	for i := range cols {
		cols[i] = make([]float64, len(rows))
	}
	for r, row := range rows {
		y[r] = row.gain
		for i, c := range row.calls {
			cols[i][r] = c
		}
	}
	coef, se := contrasts(cols, y, th)
	for i := range out {
		out[i].Group = collinear(cols, out, i, th)
		if total[i] < th.taskRuns || math.IsInf(se[i], 1) {
			continue
		}
		half := 1.645 * se[i]
		out[i].BytesPerCall = Interval{coef[i] - half, coef[i], coef[i] + half}
		switch z := coef[i] / se[i]; {
		case z > th.taskZ && len(out[i].Group) == 0:
			out[i].Kind = TaskLeak
		case z < th.taskClear && (coef[i]+half)*total[i] < math.Max(th.taskLittle*growth, th.material):
			out[i].Kind = TaskClear
		}
	}
}

// contrasts returns by how many bytes one call of each task exceeds the
// median task, with standard errors. Only differences are told: where a
// worker is always busy, the number of calls a slot does not vary and what
// all tasks have in common cannot be seen.
func contrasts(cols [][]float64, y []float64, th thresholds) (coef, se []float64) {
	k := len(cols)
	se = make([]float64, k)
	for i := range se {
		se[i] = math.Inf(1)
	}
	a := mat.NewSymDense(k, nil)
	trace := 0.0
	for i := range cols {
		trace += dot(cols[i], cols[i]) / float64(k)
	}
	for i := range cols {
		for j := i; j < k; j++ {
			v := dot(cols[i], cols[j])
			if i == j {
				v += 1e-6*trace + 1e-300
			}
			a.SetSym(i, j, v)
		}
	}
	var chol mat.Cholesky
	var inv mat.SymDense
	if !chol.Factorize(a) || trace == 0 {
		return make([]float64, k), se
	}
	if err := chol.InverseTo(&inv); err != nil && !isCondition(err) {
		return make([]float64, k), se
	}
	coef = make([]float64, k)
	for i := range coef {
		for j := range cols {
			coef[i] += inv.At(i, j) * dot(cols[j], y)
		}
	}
	res := residualOf(cols, y, coef)
	s2 := dot(res, res) / float64(max(len(y)-k, 1))
	middle := medianOf(coef)
	if k == 2 {
		middle = min(coef[0], coef[1]) // there is no middle: the other one is the one that does not leak
	}
	for i := range se {
		v := 0.0
		for p := range k {
			for q := range k {
				v += (unit(p, i) - 1/float64(k)) * (unit(q, i) - 1/float64(k)) * inv.At(p, q)
			}
		}
		if k == 2 {
			v *= 4 // told against the other, not against their mean
		}
		// Neighbouring slots share a floor, so there are fewer independent
		// rows than rows.
		se[i] = th.taskNeighbours * math.Sqrt(math.Max(s2*v, 0))
		if se[i] == 0 {
			se[i] = math.Inf(1)
		}
		coef[i] -= middle
	}
	return coef, se
}

func unit(p, i int) float64 {
	if p == i {
		return 1
	}
	return 0
}

// onlyTask is the case of one name: all growth is its growth.
func onlyTask(v *TaskVerdict, rows []taskRow, th thresholds) {
	var gains []float64
	gain, calls := 0.0, 0.0
	for _, r := range rows {
		gains = append(gains, r.gain)
		gain, calls = gain+r.gain, calls+r.calls[0]
	}
	if calls < th.taskRuns {
		return
	}
	half := 1.645 * math.Sqrt(sumSquares(gains))
	v.BytesPerCall = Interval{(gain - half) / calls, gain / calls, (gain + half) / calls}
	switch {
	case gain > th.taskOnly*half:
		v.Kind = TaskLeak
	case gain+half < th.taskQuiet*th.material:
		v.Kind = TaskClear
	}
}

// tame pulls gains beyond four robust deviations back to there: a freed or
// grabbed block of many MiB says nothing about calls.
//
// Source: winsorizing, as of J. W. Tukey, The future of data analysis, Annals
// of Mathematical Statistics 33 (1962).
func tame(rows []taskRow, th thresholds) {
	g := make([]float64, len(rows))
	for i, r := range rows {
		g[i] = r.gain
	}
	most := th.taskTame * mad(g)
	if most == 0 {
		return
	}
	for i := range rows {
		rows[i].gain = clamp(rows[i].gain, -most, most)
	}
}

// collinear names the tasks whose calls rise and fall with task i's.
func collinear(cols [][]float64, all []TaskVerdict, i int, th thresholds) []string {
	var names []string
	for j := range cols {
		n := math.Sqrt(dot(cols[i], cols[i]) * dot(cols[j], cols[j]))
		if j != i && n > 0 && dot(cols[i], cols[j])/n > th.taskAlike {
			names = append(names, all[j].Task)
		}
	}
	return names
}

// settleTasks lets no task be accused in a worker that does not leak.
func settleTasks(v *Verdict) {
	tasks := slices.Clone(v.Tasks)
	for i := range tasks {
		if tasks[i].Kind == TaskLeak && !v.Kind.Leaks() {
			tasks[i].Kind = TaskUnsure
		}
	}
	v.Tasks = tasks
}
