package synth

// swapOut moves the share of own pages that the plan wants out at this hour.
// Footprint (RAM and swap together) does not change by it.
func (n *node) swapOut(hour float64) {
	s := n.swap
	if s == nil {
		return
	}
	out := s.share * min(max((hour-s.from)/(s.to-s.from), 0), 1)
	if s.back && hour > s.to {
		out = s.share * max(1-(hour-s.to)/(s.to-s.from), 0)
	}
	n.parent.swapped = out
	for _, c := range n.kids {
		c.swapped = out
	}
}
