package chat

import (
	"strings"
	"testing"
)

// TestEveryCommandHasHelp: each says what it is for and gives an example, and
// the example is that command with all that it needs.
func TestEveryCommandHasHelp(t *testing.T) {
	for _, v := range verbs {
		if v.help == "" || v.more == "" || v.example == "" {
			t.Errorf("%s has no help, no more, or no example", v.name)
		}
		if (v.do == nil) == (v.about == nil) {
			t.Errorf("%s is both about a worker and not", v.name)
		}
		text, ok := strings.CutPrefix(v.example, "/leaks ")
		word, arg, _ := strings.Cut(text, " ")
		if found := meant(word); !ok || len(found) != 1 || found[0].name != v.name {
			t.Errorf("the example %q of %s is another command", v.example, v.name)
		}
		if needs := v.args != "" && v.args[0] != '['; needs && arg == "" {
			t.Errorf("the example %q of %s lacks %s", v.example, v.name, v.args)
		}
		if v.split == nil {
			continue
		}
		if name, rest := v.split(arg); name != "mail" || rest == "" {
			t.Errorf("the example %q of %s is about %q and %q", v.example, v.name, name, rest)
		}
	}
	for _, name := range topicNames() {
		if m := help(name); len(m.Blocks) != 2 || !strings.Contains(m.Text, name) {
			t.Errorf("help %s answers %q", name, m.Text)
		}
	}
	for _, topic := range topics {
		if len(meant(topic.name)) > 0 {
			t.Errorf("%s is a topic and a command", topic.name)
		}
	}
}
