package remedy

import "github.com/dropleak/dropleak/bot/workflow"

// Edges lists what every step of the recipe may go to, for the comparison
// with docs/run.md.
func Edges() []string {
	var out []string
	s := New(Deps{}, Config{})
	for _, r := range []workflow.Recipe{s.recipe(), s.leases()} {
		for from, step := range r.Steps {
			for _, to := range step.Next {
				out = append(out, from+" → "+to)
			}
		}
	}
	return out
}
