package main

import (
	"math"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// The JSON of dropleak scan. Bytes and seconds; numbers or null; arrays are
// always arrays.
type scanResult struct {
	Files []fileResult `json:"files"`
}

type fileResult struct {
	Path    string         `json:"path"`
	Error   *string        `json:"error"`
	Notes   []noteResult   `json:"notes"`
	Workers []workerResult `json:"workers"`
}

type noteResult struct {
	Line *int   `json:"line"`
	Text string `json:"text"`
}

type workerResult struct {
	Worker        string            `json:"worker"`
	Droplet       *string           `json:"droplet"`
	Verdict       detector.Kind     `json:"verdict"`
	Reason        detector.Reason   `json:"reason"`
	Confidence    float64           `json:"confidence"`
	Rate          *float64          `json:"rate_bytes_per_hour"`
	RateLow       *float64          `json:"rate_low"`
	RateHigh      *float64          `json:"rate_high"`
	Onset         *float64          `json:"onset"`
	MinDetectable *float64          `json:"min_detectable_bytes_per_hour"`
	HoursNeeded   *float64          `json:"hours_needed"`
	Exhaustion    *exhaustionResult `json:"exhaustion"`
	Evidence      []string          `json:"evidence"`
	Processes     []processResult   `json:"processes"`
	Tasks         []taskResult      `json:"tasks"`
}

type exhaustionResult struct {
	Limit    float64  `json:"limit_bytes"`
	Earliest float64  `json:"earliest"`
	Expected float64  `json:"expected"`
	Latest   *float64 `json:"latest"`
}

type processResult struct {
	PID     int             `json:"pid"`
	Start   *float64        `json:"start"`
	Role    detector.Role   `json:"role"`
	Verdict detector.Kind   `json:"verdict"`
	Reason  detector.Reason `json:"reason"`
	Rate    *float64        `json:"rate_bytes_per_hour"`
	Onset   *float64        `json:"onset"`
}

type taskResult struct {
	Task    string            `json:"task"`
	Bytes   float64           `json:"bytes_per_call"`
	Low     float64           `json:"low"`
	High    float64           `json:"high"`
	Verdict detector.TaskKind `json:"verdict"`
}

func taskResults(v detector.Verdict) []taskResult {
	out := []taskResult{}
	for _, t := range v.Tasks {
		out = append(out, taskResult{t.Task, t.BytesPerCall.Value, t.BytesPerCall.Low, t.BytesPerCall.High, t.Kind})
	}
	return out
}

func scanJSON(files []judged) scanResult {
	out := scanResult{Files: []fileResult{}}
	for _, file := range files {
		f := fileResult{Path: file.path, Notes: []noteResult{}, Workers: []workerResult{}}
		if file.err != nil {
			text := file.err.Error()
			f.Error = &text
		}
		for _, n := range file.notes {
			note := noteResult{Text: n.Text}
			if n.Line > 0 {
				note.Line = &n.Line
			}
			f.Notes = append(f.Notes, note)
		}
		for _, w := range file.workers {
			f.Workers = append(f.Workers, workerJSON(w.worker, w.verdict))
		}
		out.Files = append(out.Files, f)
	}
	return out
}

func workerJSON(w detector.Worker, v detector.Verdict) workerResult {
	r := workerResult{Worker: w.Name, Verdict: v.Kind, Reason: v.Reason, Confidence: v.Confidence,
		Onset: secondsOf(v.Onset), MinDetectable: finite(v.MinDetectable), HoursNeeded: finite(v.HoursNeeded),
		Exhaustion: exhaustionJSON(v.Exhaustion), Evidence: append([]string{}, v.Evidence...),
		Processes: []processResult{}, Tasks: []taskResult{}}
	if w.Droplet != "" {
		r.Droplet = &w.Droplet
	}
	if v.Rate != nil {
		r.Rate, r.RateLow, r.RateHigh = finite(&v.Rate.Value), finite(&v.Rate.Low), finite(&v.Rate.High)
	}
	for _, p := range v.Processes {
		one := processResult{PID: p.PID, Role: roleJSON(p.Role), Verdict: p.Kind, Reason: p.Reason, Onset: secondsOf(p.Onset)}
		if !p.Start.IsZero() {
			one.Start = secondsOf(&p.Start)
		}
		if p.Rate != nil {
			one.Rate = finite(&p.Rate.Value)
		}
		r.Processes = append(r.Processes, one)
	}
	r.Tasks = taskResults(v)
	return r
}

// roleJSON maps roles to the three the format has.
func roleJSON(r detector.Role) detector.Role {
	if r == detector.RoleParent || r == detector.RoleChild {
		return r
	}
	return detector.RoleUnknown
}

func exhaustionJSON(e *detector.Exhaustion) *exhaustionResult {
	if e == nil {
		return nil
	}
	r := &exhaustionResult{Limit: e.Limit.Bytes, Earliest: *secondsOf(&e.Earliest), Expected: *secondsOf(&e.Expected)}
	if !e.Latest.IsZero() {
		r.Latest = secondsOf(&e.Latest)
	}
	return r
}

func secondsOf(t *time.Time) *float64 {
	if t == nil {
		return nil
	}
	s := float64(t.Round(time.Millisecond).UnixMilli()) / 1000
	return &s
}

// finite keeps NaN and infinities, which JSON cannot say, out.
func finite(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	return v
}
