package configs

import (
	"path"
	"slices"
)

// RuleFor returns the first rule that matches a worker on a droplet, and
// whether there is one.
func (c Config) RuleFor(dropletID int64, tags []string, node string) (WorkerRule, bool) {
	for _, r := range c.Workers {
		if r.Droplets.matches(dropletID, tags) && matchNode(r.Node, node) {
			return r, true
		}
	}
	return WorkerRule{}, false
}

func (a Droplets) matches(id int64, tags []string) bool {
	switch {
	case a.Tag != "":
		return slices.Contains(tags, a.Tag)
	case len(a.IDs) > 0:
		return slices.Contains(a.IDs, id)
	}
	return true
}

func matchNode(glob, node string) bool {
	if glob == "" {
		return true
	}
	ok, err := path.Match(glob, node)
	return err == nil && ok
}
