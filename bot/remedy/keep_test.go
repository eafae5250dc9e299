package remedy_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/doclient"
)

// makeSnapshots runs n whole runs, a day apart, and returns their ids.
func makeSnapshots(t *testing.T, w *world, p *process, n int) []string {
	t.Helper()
	var ids []string
	for range n {
		id := approved(t, p)
		if r := w.drive(t, id, 2*time.Hour, p); r.Outcome != string(remedy.FreedWorking) {
			t.Fatalf("outcome %q", r.Outcome)
		}
		ids = append(ids, id)
		time.Sleep(24 * time.Hour)
	}
	return ids
}

func standing(w *world) []string {
	var names []string
	w.lock(func() {
		for _, s := range w.snaps {
			names = append(names, s.Name)
		}
	})
	slices.Sort(names)
	return names
}

func tidied(t *testing.T, w *world, p *process, begun int) {
	t.Helper()
	n, err := p.s.Tidy(t.Context())
	if err != nil || n != begun {
		t.Errorf("began %d deletions, %v; want %d", n, err, begun)
	}
	for {
		worked, err := p.s.Once(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !worked {
			return
		}
	}
}

// TestKeepNewest: the oldest go first, a pinned one stays, and what others
// made, even under our kind of name, is never touched.
func TestKeepNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.Keep = 2 })
		ids := makeSnapshots(t, w, p, 4)
		strangers := []doclient.Snapshot{{ID: "1", DropletID: droplet, Name: "before-upgrade"}, {ID: "2", DropletID: droplet, Name: "dropleak-mail-old"}}
		w.lock(func() { w.snaps = append(w.snaps, strangers...) })
		if a := decide(t, p, ids[0], click(alice, remedy.KeepSnapshot)); !a.Accepted {
			t.Fatalf("keep: %v", a.Refusal)
		}
		tidied(t, w, p, 1)
		want := []string{"before-upgrade", "dropleak-mail-" + ids[0], "dropleak-mail-" + ids[2], "dropleak-mail-" + ids[3], "dropleak-mail-old"}
		slices.Sort(want)
		if got := standing(w); !slices.Equal(got, want) {
			t.Errorf("standing %q, want %q", got, want)
		}
		tidied(t, w, p, 0)
		shelf, err := p.s.Shelf(t.Context())
		if err != nil || len(shelf) != 3 || shelf[0].Run != ids[3] || shelf[2].Pinned == nil || shelf[0].MonthlyUSD != 0.66 {
			t.Errorf("shelf %+v, %v", shelf, err)
		}
	})
}

func TestMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.MaxAge = 36 * time.Hour })
		ids := makeSnapshots(t, w, p, 3)
		tidied(t, w, p, 2)
		if got := standing(w); len(got) != 1 || got[0] != "dropleak-mail-"+ids[2] {
			t.Errorf("standing %q", got)
		}
	})
}

// TestDeleteByClick: the button is true before and after, only those who may
// press it, and a crash in the middle of deleting loses nothing.
func TestDeleteByClick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.start("a", nil)
		id := makeSnapshots(t, w, a, 1)[0]
		wantRefused(t, decide(t, a, id, click(mallory, remedy.DeleteSnapshot)), remedy.NotApprover)
		a.choose = func(border string) fault {
			if border == "call delete" {
				return crashAfter
			}
			return none
		}
		if ans := decide(t, a, id, click(bob, remedy.DeleteSnapshot)); !ans.Accepted || ans.View.Disposal != "deleting" || len(ans.View.Buttons) != 0 {
			t.Errorf("delete: %+v", ans)
		}
		wantRefused(t, decide(t, a, id, click(alice, remedy.KeepSnapshot)), remedy.Decided)
		b := w.start("b", nil)
		w.drive(t, "tidy-"+id, time.Minute, a, b)
		w.drive(t, id, time.Minute, b)
		v := w.views[len(w.views)-1]
		if len(standing(w)) != 0 || v.Disposal != "deleted" || len(v.Buttons) != 0 {
			t.Errorf("standing %q, the message says %q with %v", standing(w), v.Disposal, v.Buttons)
		}
		late := decide(t, b, id, click(alice, remedy.KeepSnapshot))
		if wantRefused(t, late, remedy.Decided); late.Words != "The snapshot is deleted already." {
			t.Errorf("a click that comes too late is told %q", late.Words)
		}
	})
}

func TestNothingToDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		run := approved(t, p)
		w.drive(t, run, time.Second, p)
		wantRefused(t, decide(t, p, run, click(bob, remedy.DeleteSnapshot)), remedy.TooLate)
	})
}

// TestDeletionDecidedAndNotBegun: a crash between the decision and the
// beginning of the deletion is made good.
func TestDeletionDecidedAndNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.start("a", nil)
		id := makeSnapshots(t, w, a, 1)[0]
		a.choose = func(border string) fault {
			if border == "store create" {
				return crashBefore
			}
			return none
		}
		if _, err := a.s.Decide(t.Context(), id, click(bob, remedy.DeleteSnapshot)); err == nil {
			t.Fatal("a dead process answered")
		}
		b := w.start("b", nil)
		tidied(t, w, b, 1)
		if got := standing(w); len(got) != 0 {
			t.Errorf("standing %q", got)
		}
	})
}
