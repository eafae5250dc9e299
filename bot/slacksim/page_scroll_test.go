package slacksim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dropleak/dropleak/bot/slacksim"
)

// tall is a message higher than the page, with a headline.
func tall(headline string) object {
	blocks := []any{object{"type": "header", "text": text("plain_text", headline)}}
	for i := range 30 {
		blocks = append(blocks, section(fmt.Sprintf("line %d", i)))
	}
	return object{"channel": "C0OPS", "text": headline, "blocks": blocks}
}

// TestBeginningOfWhatIsNewIsInSight: a message higher than the page is shown
// from its headline on, when it is new and when it is headed anew; who has
// scrolled away to read is left there.
func TestBeginningOfWhatIsNewIsInSight(t *testing.T) {
	sim, b := deskBot(t, slacksim.Options{})
	first := tall("mail leaks")
	first["ts"] = b.call("chat.postMessage", first)["ts"]
	ctx := browser(t, sim, "U0ANNA", 900, 600, false)
	inSight := func(headline string) {
		t.Helper()
		eval(t, ctx, chromedp.Poll[bool](`(() => { const r = document.querySelector("#list").getBoundingClientRect(), e = [...document.querySelectorAll("#list *")].findLast((e) => e.innerText === "`+headline+`");
			const b = e?.getBoundingClientRect(); return b && b.height > 0 && b.top >= r.top && b.bottom <= r.bottom })()`, chromedp.WithPollingTimeout(10*time.Second)))
	}
	scrolled := func(to string) int {
		t.Helper()
		return eval(t, ctx, chromedp.Evaluate[int](`(() => { const l = document.querySelector("#list"); `+to+`; return Math.round(l.scrollTop) })()`))
	}
	inSight("mail leaks")
	b.call("chat.postMessage", tall("web leaks"))
	inSight("web leaks")
	edited := tall("mail was restarted")
	edited["ts"] = first["ts"]
	b.call("chat.update", edited)
	inSight("mail was restarted")

	at := scrolled("l.scrollTop = 300")
	b.call("chat.postMessage", tall("video leaks"))
	eval(t, ctx, chromedp.Poll[bool](`document.querySelector("#list").innerText.includes("video leaks")`, chromedp.WithPollingTimeout(10*time.Second)))
	if now := scrolled(""); now != at {
		t.Errorf("who read at %d is taken to %d", at, now)
	}
}
