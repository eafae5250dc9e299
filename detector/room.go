package detector

// Room is memory for the blocks of one droplet after another, which are most
// of what it takes to judge a fleet. The zero Room is ready, and a nil Room
// gives all that is asked of it memory of its own. What is made in a Room is
// good until its next Reset.
type Room struct {
	parser parser
	blocks []Block
	sums   []SumBlock
	totals []TotalBlock
}

// Reset takes back all that was made in the room.
func (r *Room) Reset() {
	r.blocks, r.sums, r.totals = r.blocks[:0], r.sums[:0], r.totals[:0]
}

func (r *Room) blockRoom(n int) []Block {
	if r == nil {
		return make([]Block, n)
	}
	return cut(&r.blocks, n)
}

func (r *Room) sumRoom(n int) []SumBlock {
	if r == nil {
		return make([]SumBlock, n)
	}
	return cut(&r.sums, n)
}

func (r *Room) totalRoom(n int) []TotalBlock {
	if r == nil {
		return make([]TotalBlock, n)
	}
	return cut(&r.totals, n)
}

// cut takes n things of any value off the room.
func cut[T any](room *[]T, n int) []T {
	if cap(*room)-len(*room) < n { // what was cut before keeps the old room
		*room = make([]T, 0, max(n, 2*cap(*room)))
	}
	from := len(*room)
	*room = (*room)[:from+n]
	return (*room)[from : from+n : from+n]
}
