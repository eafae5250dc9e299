package report

import (
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"
)

// Message is what stands in a channel: the text that notifications and screen
// readers say (mrkdwn, escaped), the blocks, and plainer layouts to fall back
// on.
type Message struct {
	Text   string
	Blocks []slack.Block
	Rungs  [][]slack.Block
}

// Limits of Slack's blocks, in characters.
const (
	maxSection = 3000
	maxHeader  = 150
	maxText    = 3900 // a chat.update refuses more than 4,000
	maxBlocks  = 50
	maxValue   = 2000
)

// Header is a line in large letters; text is plain.
func Header(text string) slack.Block {
	return slack.NewHeaderBlock(plainText(together(text), maxHeader))
}

// Section is a paragraph of mrkdwn in which outside strings are escaped.
func Section(text string) slack.Block {
	return slack.NewSectionBlock(markdown(text, maxSection), nil, nil)
}

// Beside is a paragraph of mrkdwn with a button at its right.
func Beside(text string, p Press) slack.Block {
	return slack.NewSectionBlock(markdown(text, maxSection), nil, slack.NewAccessory(p.button()))
}

// Fields are short facts in two columns.
func Fields(texts ...string) slack.Block {
	var fields []*slack.TextBlockObject
	for _, t := range texts[:min(len(texts), 10)] {
		fields = append(fields, markdown(t, 2000))
	}
	return slack.NewSectionBlock(nil, fields, nil)
}

// Context is small grey text.
func Context(text string) slack.Block {
	return slack.NewContextBlock("", markdown(text, maxSection))
}

// markdown keeps names and numbers from being turned into links.
func markdown(text string, limit int) *slack.TextBlockObject {
	text = cut(together(text), limit)
	return &slack.TextBlockObject{Type: slack.MarkdownType, Text: text, Verbatim: true}
}

// cut shortens mrkdwn to a number of characters: at the end of a line where
// one is near, so that no mention or code span is left open.
func cut(text string, limit int) string {
	r := []rune(text)
	if len(r) <= limit {
		return text
	}
	text = string(r[:limit-1])
	if i := strings.LastIndexByte(text, '\n'); i > len(text)/2 {
		text = text[:i+1]
	}
	return text + "…"
}

func plainText(s string, n int) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, Plain(s, n), false, false)
}

// Press is a button. Value is opaque; Confirm asks again before it counts.
type Press struct {
	Action, Value, Text string
	Style               slack.Style // "", primary, danger
	Confirm             *Ask
}

// Ask is the question of a confirm dialog.
type Ask struct{ Title, Text, Yes, No string }

// Choice is one line of the menu behind the buttons.
type Choice struct{ Value, Text string }

// Buttons stand in one row, with a menu of rarer things behind them if there
// are any. A button whose value Slack would refuse is left out.
func Buttons(menu []Choice, presses ...Press) slack.Block {
	var elements []slack.BlockElement
	for _, p := range presses {
		if utf8.RuneCountInString(p.Value) > maxValue {
			continue
		}
		elements = append(elements, p.button())
	}
	if len(menu) > 0 {
		var options []*slack.OptionBlockObject
		for _, c := range menu {
			options = append(options, slack.NewOptionBlockObject(c.Value, plainText(c.Text, 75), nil))
		}
		elements = append(elements, slack.NewOverflowBlockElement(ActionMore, options...))
	}
	return slack.NewActionBlock("", elements...)
}

// beforeFold is how many buttons a person on a phone is asked to choose from.
const beforeFold = 2

// Row parts buttons into those that are seen at once, with the menu, and the
// rest, nil where there is none.
func Row(menu []Choice, presses ...Press) (row, below slack.Block) {
	n := min(len(presses), beforeFold)
	if len(presses) > n {
		below = Buttons(nil, presses[n:]...)
	}
	return Buttons(menu, presses[:n]...), below
}

func (p Press) button() *slack.ButtonBlockElement {
	b := slack.NewButtonBlockElement(p.Action, p.Value, plainText(p.Text, 75))
	b.Style = p.Style
	if p.Confirm != nil {
		b.Confirm = slack.NewConfirmationBlockObject(plainText(p.Confirm.Title, 100), markdown(p.Confirm.Text, 300),
			plainText(p.Confirm.Yes, 30), plainText(p.Confirm.No, 30))
	}
	return b
}

// Picture shows an uploaded file; alt says in words what is in it.
func Picture(file, alt string) *slack.ImageBlock {
	return &slack.ImageBlock{Type: slack.MBTImage, AltText: Plain(alt, 2000), SlackFile: &slack.SlackFileObject{ID: file}}
}

// laddered adds the plainer layout without pictures: Slack refuses a message
// whose picture it does not know, or not yet. text is plain.
func laddered(text string, blocks []slack.Block) Message {
	if len(blocks) > maxBlocks {
		blocks = blocks[:maxBlocks]
	}
	m := Message{Text: mrkdwn.Replace(Plain(text, maxText)), Blocks: blocks}
	var bare []slack.Block
	for _, b := range blocks {
		if b.BlockType() != slack.MBTImage {
			bare = append(bare, b)
		}
	}
	if len(bare) < len(blocks) && len(bare) > 0 {
		m.Rungs = append(m.Rungs, bare)
	}
	return m
}
