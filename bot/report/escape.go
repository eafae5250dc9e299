package report

import (
	"strings"
	"unicode"
)

// Plain makes an outside string safe to show as plain text: control and
// direction-changing characters go, and it is cut to n characters.
func Plain(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), bidi(r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > n {
		s = string(r[:n-1]) + "…"
	}
	return s
}

// bidi reports whether r changes the direction of text or hides in it.
func bidi(r rune) bool {
	return r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x2069 || r == 0xfeff || r == 0x061c
}

// mrkdwn escapes what would become a mention or a link.
var mrkdwn = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// signs look like mrkdwn's own and mean nothing: Slack has no way to quote
// bold, strike and code.
var signs = strings.NewReplacer("*", "∗", "~", "∼", "`", "'")

// Escape makes an outside string safe within mrkdwn: mentions, links and
// styles in it stay dead. It is the only place where escaping happens.
func Escape(s string) string { return mrkdwn.Replace(signs.Replace(Plain(s, 500))) }

// Code shows an outside name as it is written, in a code span, where none of
// mrkdwn's signs count.
func Code(s string) string {
	s = strings.ReplaceAll(Plain(s, 120), "`", "'")
	if strings.TrimSpace(s) == "" {
		s = "?"
	}
	return "`" + mrkdwn.Replace(s) + "`"
}

// Mention names a person of this workspace by Slack id; anything that is no id
// is shown as plain text.
func Mention(id string) string {
	if id == "" {
		return "dropleak"
	}
	for _, r := range id {
		if !(r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') {
			return Escape(id)
		}
	}
	if id[0] == 'S' {
		return "<!subteam^" + id + ">"
	}
	return "<@" + id + ">"
}
