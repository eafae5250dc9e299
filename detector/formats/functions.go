package formats

import (
	"cmp"
	"fmt"
	"slices"
)

// Function is what the calls of one marked function add up to.
type Function struct {
	Name  string
	Calls int
	Peak  float64 // bytes: the highest memory at the end or beginning of a call
	At    Call    // the call with that peak
	Kept  float64 // bytes: what all calls together left behind
}

// Functions sums up calls, the one that kept most first.
func Functions(calls []Call) []Function {
	by := map[string]*Function{}
	var order []*Function
	for _, c := range calls {
		f := by[c.Name]
		if f == nil {
			f = &Function{Name: c.Name}
			by[c.Name] = f
			order = append(order, f)
		}
		f.Calls++
		f.Kept += c.After - c.Before
		if peak := max(c.Before, c.After); peak > f.Peak {
			f.Peak, f.At = peak, c
		}
	}
	slices.SortStableFunc(order, func(a, b *Function) int { return cmp.Compare(b.Kept, a.Kept) })
	out := make([]Function, len(order))
	for i, f := range order {
		out[i] = *f
	}
	return out
}

// mostNamed bounds how many functions or lines are named in evidence.
const mostNamed = 5

func functionEvidence(calls []Call) (out []string) {
	for i, f := range Functions(calls) {
		if i == mostNamed {
			break
		}
		noun := "calls"
		if f.Calls == 1 {
			noun = "call"
		}
		out = append(out, fmt.Sprintf("Function %s: %d %s left %s behind, peak %s.", f.Name, f.Calls, noun, mib(f.Kept), mib(f.Peak)))
	}
	return out
}

func mib(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/mebibyte) }
