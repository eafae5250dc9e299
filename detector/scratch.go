package detector

import "sync"

// scratch lends slices for the length of one calculation: a fleet's hour
// would otherwise be spent in collecting them.
var scratch = sync.Pool{New: func() any { return new([]float64) }}

// borrow returns n numbers of any value, to be given back with the handle.
func borrow(n int) (xs []float64, handle *[]float64) {
	handle = scratch.Get().(*[]float64)
	if cap(*handle) < n {
		*handle = make([]float64, n)
	}
	return (*handle)[:n], handle
}

// giveBack ends a loan.
func giveBack(handle *[]float64) { scratch.Put(handle) }
