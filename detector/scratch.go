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

// arena lends numbers for the length of one judgement, each good until its
// end. A nil arena gives numbers of their own.
type arena struct{ xs []float64 }

var arenas = sync.Pool{New: func() any { return new(arena) }}

// numbers returns n numbers of any value.
func (a *arena) numbers(n int) []float64 {
	if a == nil {
		return make([]float64, n)
	}
	return cut(&a.xs, n)
}

// end takes all loans back.
func (a *arena) end() {
	a.xs = a.xs[:0]
	arenas.Put(a)
}

// giveBack ends a loan.
func giveBack(handle *[]float64) { scratch.Put(handle) }
