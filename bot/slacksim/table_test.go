package slacksim

import "testing"

// Every method that is modelled has its published rate.
func TestEveryMethodHasATier(t *testing.T) {
	for name := range methods {
		if tiers[name] == 0 {
			t.Errorf("%s has no tier", name)
		}
	}
	for name := range tiers {
		if _, ok := methods[name]; !ok {
			t.Errorf("%s has a tier and is not modelled", name)
		}
	}
}
