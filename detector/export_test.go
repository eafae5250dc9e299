package detector

// What the tests over made series, which import synth and so stand outside,
// need of the inside.
var (
	Screened   = screened
	Unscreened = unscreened
)
