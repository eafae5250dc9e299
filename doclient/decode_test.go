package doclient

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

var anyToken = regexp.MustCompile(`do[opr]_v1_[0-9A-Za-z]`)

// Whatever a gateway sends as an error, what is kept of it is short, printable,
// on one line, and free of tokens.
func FuzzDecodeError(f *testing.F) {
	for _, seed := range []string{
		`{"id":"not_found","message":"gone","request_id":"r"}`, `{"error":{"message":"x"}}`, `null`, `[]`, `"x"`, `{"message":5}`,
		``, `<`, `<html><script>`, "<!-- dop_v1_0 -->", `{"message":"dop_v1_\u0000dop_v1_a"}`, "do<b>p_v1_abc", "\xff\xfe",
		`{"message":"` + strings.Repeat("é", 400) + `"}`, "dop_v1_\x00abc", "dop_v1_dop_v1_a",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e := decodeError(body)
		for _, text := range []string{e.ID, e.Message, e.RequestID} {
			if utf8.RuneCountInString(text) > maxMessage || !utf8.ValidString(text) {
				t.Errorf("%d runes, valid %v", utf8.RuneCountInString(text), utf8.ValidString(text))
			}
			if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("control characters in %q", text)
			}
			if anyToken.MatchString(text) {
				t.Errorf("a token in %q", text)
			}
		}
	})
}
