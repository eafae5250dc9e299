package demo_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browse opens a page in a headless Chromium.
func browse(t *testing.T, url string) context.Context {
	t.Helper()
	flags := append([]chromedp.ExecAllocatorOption{chromedp.NoFirstRun, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir())},
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, flags...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1180, 1020), chromedp.Navigate(url)); err != nil {
		t.Fatal("open the page:", err)
	}
	return ctx
}

// shoot keeps a picture where DROPLEAK_PAGE_SHOTS points, for people to look
// at.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("DROPLEAK_PAGE_SHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// until waits for an expression on the page to be true.
func until(t *testing.T, ctx context.Context, what, js string) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+js+")"))
		if err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			text, _ := chromedp.Run(context.WithoutCancel(ctx), chromedp.Evaluate[string]("document.body.innerText"))
			t.Fatalf("%s: not so in time (%v)\n%s", what, err, text)
		case <-tick.C:
		}
	}
}

const theButton = `[...document.querySelectorAll("#list button")].find((b) => b.innerText === "Snapshot & restart")`

// inSight is whether a line of the channel stands where a person sees it.
func inSight(words string) string {
	return `(() => { const r = document.querySelector("#list").getBoundingClientRect(), e = [...document.querySelectorAll("#list *")].findLast((e) => e.innerText?.includes("` + words + `"));
		const b = e?.getBoundingClientRect(); return b && b.height > 0 && b.top >= r.top && b.bottom <= r.bottom })()`
}

// A person reads the report, presses the button, confirms, and watches until
// it is done.
func TestPersonAtThePage(t *testing.T) {
	t.Parallel()
	url, end := interactive(t)
	ctx := browse(t, url)
	until(t, ctx, "the page says what is simulated", `document.querySelector("#banner").innerText.includes("Simulated: Slack")`)
	until(t, ctx, "the report stands there with its chart and the button",
		theButton+` && [...document.querySelectorAll("#list img")].some((i) => i.complete && i.naturalWidth > 400)`)
	until(t, ctx, "its headline is in sight", inSight("runs out of memory"))
	shoot(t, ctx, "demo-report")
	press := func(what, js string) {
		until(t, ctx, what, "(() => { const b = "+js+"; if (b) b.click(); return b })()")
	}
	press("press the button", theButton)
	until(t, ctx, "the page asks once more", `document.querySelector("#confirm #yes")`)
	shoot(t, ctx, "demo-confirm")
	press("confirm", `document.querySelector("#confirm #yes")`)
	until(t, ctx, "the run can be watched", `document.querySelector("#list").innerText.includes("Snapshot the droplet")`)
	shoot(t, ctx, "demo-run")
	until(t, ctx, "memory is freed", `document.querySelector("#list").innerText.includes("Memory freed, worker working")`)
	until(t, ctx, "the button is gone", "!("+theButton+")")
	until(t, ctx, "its headline is in sight without scrolling", inSight("was restarted"))
	until(t, ctx, "and the outcome", inSight("Memory freed, worker working"))
	shoot(t, ctx, "demo-done")
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("#list").innerText`))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "video on web-1") || strings.Contains(text, "thumbs on web-1") {
		t.Errorf("a healthy worker is accused:\n%s", text)
	}
	end()
}
