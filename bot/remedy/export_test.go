package remedy

// Edges lists what every step of the recipe may go to, for the comparison
// with docs/run.md.
func Edges() []string {
	var out []string
	for from, step := range New(Deps{}, Config{}).recipe().Steps {
		for _, to := range step.Next {
			out = append(out, from+" → "+to)
		}
	}
	return out
}
