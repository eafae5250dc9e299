package doclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

func TestDropletsArePagedByLinks(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		for i := range 450 {
			w.AddDroplet(dosim.Droplet{ID: 1000 + i, Tags: []string{"celery", "env:prod"}})
		}
		w.AddDroplet(dosim.Droplet{ID: 1, Tags: []string{"celery_2"}})
		w.AddDroplet(dosim.Droplet{ID: 2, Tags: []string{"celery"}, GPU: true})
		w.AddDroplet(dosim.Droplet{ID: 3, Tags: []string{"other"}, GPU: true})
		for tag, want := range map[string]int{"celery": 452, "env:prod": 450, "celery_2": 1, "none": 0, "": 454} {
			got, err := w.reader.Droplets(ctx, tag)
			if err != nil || len(got) != want {
				t.Errorf("tag %q: %d droplets, want %d: %v", tag, len(got), want, err)
			}
			for i := 1; i < len(got); i++ {
				if got[i].ID <= got[i-1].ID {
					t.Fatalf("tag %q: not ordered by id, or twice", tag)
				}
			}
		}
	})
}

// One page may come without links, or with empty ones; an entry may come twice
// when the list changes between two pages; a list may never end.
func TestOddLists(t *testing.T) {
	next := `"links":{"pages":{"next":"https://api.digitalocean.com/v2/droplets?page=2"}}`
	two := `{"droplets":[{"id":2},{"id":1}]`
	tests := []struct {
		name string
		body func(page string) string
		want string
	}{
		{"no links", func(string) string { return two + `}` }, "1 2"},
		{"empty links", func(string) string { return two + `,"links":{}}` }, "1 2"},
		{"null links", func(string) string { return two + `,"links":null}` }, "1 2"},
		{"nothing", func(string) string { return `{"droplets":[]}` }, ""},
		{"an entry on both pages", func(page string) string {
			if page == "1" {
				return two + `,` + next + `}`
			}
			return `{"droplets":[{"id":2},{"id":3}],"links":{}}`
		}, "1 2 3"},
		{"without end", func(string) string { return two + `,` + next + `}` }, "error"},
	}
	for _, tt := range tests {
		bubble(t, func(t *testing.T, ctx context.Context) {
			r := reader(t, canned(func(req *http.Request) (*http.Response, error) {
				if req.URL.Query().Get("type") == "gpus" {
					return says(200, "application/json", `{"droplets":[]}`)(req)
				}
				return says(200, "application/json", tt.body(req.URL.Query().Get("page")))(req)
			}))
			got, err := r.Droplets(ctx, "")
			var ids []string
			for _, d := range got {
				ids = append(ids, fmt.Sprint(d.ID))
			}
			if err != nil {
				ids = []string{"error"}
			}
			if g := strings.Join(ids, " "); g != tt.want {
				t.Errorf("%s: %s, want %s (%v)", tt.name, g, tt.want, err)
			}
		})
	}
}

func TestDropletInOurNouns(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		created := time.Date(1999, 5, 1, 8, 0, 0, 0, time.UTC)
		w.AddDroplet(dosim.Droplet{
			ID: 7, Name: "web-7", Tags: []string{"celery"}, Region: "ams3", MemoryMiB: 2048, VCPUs: 2, DiskGiB: 50,
			Features: []string{"ipv6"}, Created: created,
		})
		got, err := w.reader.Droplet(ctx, 7)
		want := doclient.Droplet{
			ID: 7, Name: "web-7", Status: "active", Region: "ams3", Tags: []string{"celery"}, MemoryPlan: 2 << 30,
			DiskGiB: 50, VCPUs: 2, Features: []string{"ipv6"}, Addresses: []string{"192.0.2.10"}, CreatedAt: created,
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if got.Monitored() || !got.Tagged("celery") || got.Tagged("cel") {
			t.Error("monitored or tagged wrongly")
		}
		if d, err := w.reader.Droplet(ctx, web1); err != nil || !d.Monitored() {
			t.Errorf("%+v %v", d, err)
		}
	})
}

// The library puts a tag into the URL as it is.
func TestIllegalTagsAreNotSent(t *testing.T) {
	r := reader(t, canned(func(*http.Request) (*http.Response, error) { panic("sent") }))
	for _, tag := range []string{"a b", "a&per_page=1", "a#b", "ä", strings.Repeat("x", 256)} {
		if _, err := r.Droplets(t.Context(), tag); err == nil {
			t.Errorf("tag %q was asked for", tag)
		}
	}
}

func actionsBody(next bool, entries ...string) string {
	links := `{}`
	if next {
		links = `{"pages":{"next":"https://api.digitalocean.com/v2/droplets/42/actions?page=2"}}`
	}
	return `{"actions":[` + strings.Join(entries, ",") + `],"links":` + links + `}`
}

func entry(id int, status string, at time.Time) string {
	return fmt.Sprintf(`{"id":%d,"status":%q,"type":"snapshot","resource_id":42,"started_at":%q}`, id, status, at.Format(time.RFC3339))
}

// A droplet's actions reach back years. Reading stops once a list that is in
// order has passed the moment asked for, and goes on when it is not in order.
func TestActionsStopEarly(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(m int) time.Time { return now.Add(-time.Duration(m) * time.Minute) }
	tests := []struct {
		name  string
		pages []string
		want  string
		asked int
	}{
		{"newest first", []string{actionsBody(true, entry(3, "completed", ago(1)), entry(2, "completed", ago(50)))}, "3", 1},
		{"all of it young", []string{actionsBody(true, entry(3, "completed", ago(1))), actionsBody(false, entry(2, "completed", ago(2)))}, "3 2", 2},
		{"oldest first", []string{actionsBody(true, entry(1, "completed", ago(60)), entry(2, "completed", ago(50))), actionsBody(false, entry(3, "completed", ago(1)))}, "3", 2},
		{"old, in progress", []string{actionsBody(false, entry(3, "completed", ago(1)), entry(2, "in-progress", ago(300)))}, "3 2", 1},
		{"on both pages", []string{actionsBody(true, entry(3, "completed", ago(1))), actionsBody(false, entry(3, "completed", ago(1)))}, "3", 2},
		{"at the second, a little early", []string{actionsBody(false, entry(3, "completed", ago(10).Add(-4*time.Second)), entry(2, "completed", ago(10).Add(-6*time.Second)))}, "3", 1},
	}
	for _, tt := range tests {
		asked := 0
		r := reader(t, canned(func(req *http.Request) (*http.Response, error) {
			asked++
			return says(200, "application/json", tt.pages[min(asked, len(tt.pages))-1])(req)
		}))
		got, err := r.Actions(t.Context(), 42, ago(10))
		var ids []string
		for _, a := range got {
			ids = append(ids, fmt.Sprint(a.ID))
		}
		if g := strings.Join(ids, " "); err != nil || g != tt.want || asked != tt.asked {
			t.Errorf("%s: %s after %d requests, want %s after %d (%v)", tt.name, g, asked, tt.want, tt.asked, err)
		}
	}
}

func TestFindActionsIsNarrow(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.AddDroplet(dosim.Droplet{ID: 43})
		w.StartAction(web1, "snapshot", "long running, from before")
		time.Sleep(20 * time.Second)
		since := time.Now()
		w.StartAction(43, "snapshot", "of another droplet")
		time.Sleep(3 * time.Minute)
		w.StartAction(web1, "reboot", "")
		time.Sleep(time.Minute)
		id := w.StartAction(web1, "snapshot", "wanted")
		time.Sleep(time.Minute)
		got, err := w.reader.FindActions(ctx, web1, doclient.TypeSnapshot, since)
		if err != nil || len(got) != 1 || got[0].ID != int64(id) || got[0].DropletID != web1 {
			t.Errorf("%+v %v, want action %d", got, err, id)
		}
		if got[0].Status != doclient.InProgress || !got[0].CompletedAt.IsZero() || got[0].Region != "nyc3" {
			t.Errorf("%+v", got[0])
		}
	})
}

func TestBackupsAreNoSnapshots(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.AddSnapshot(web1, "old", time.Now().Add(-time.Hour))
		w.AddSnapshot(web1, "twice", time.Now())
		w.AddSnapshot(web1, "twice", time.Now())
		backup := w.AddBackup(web1, "weekly", time.Now())
		all, err := w.reader.Snapshots(ctx, web1)
		if err != nil || len(all) != 3 || all[0].SizeGB != 2.34 || all[0].MinDiskGiB != 25 || all[0].Regions[0] != "nyc3" {
			t.Errorf("%+v %v", all, err)
		}
		for name, want := range map[string]error{"old": nil, "weekly": doclient.ErrNotFound, "twice": doclient.ErrAmbiguous} {
			if _, err := w.reader.SnapshotByName(ctx, web1, name); !matches(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		err = w.executor.DeleteSnapshot(ctx, doclient.Snapshot{ID: fmt.Sprint(backup), DropletID: web1, Name: "weekly"})
		if err == nil || doclient.Unclear(err) || len(w.Requests("DELETE", "/")) != 0 {
			t.Errorf("deleting a backup: %v", err)
		}
	})
}

// What is deleted is what was meant: id, name and droplet must agree.
func TestDeleteChecksFirst(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{})
		w.AddSnapshot(web1, "run-1", time.Now())
		s, err := w.reader.SnapshotByName(ctx, web1, "run-1")
		check(t, err)
		for _, change := range []func(*doclient.Snapshot){
			func(s *doclient.Snapshot) { s.Name = "run-2" },
			func(s *doclient.Snapshot) { s.DropletID = 5 },
			func(s *doclient.Snapshot) { s.ID = "fbe805e8-866b-11e6-96bf-000f53315a41" },
			func(s *doclient.Snapshot) { s.ID = "../droplets/3164444" },
			func(s *doclient.Snapshot) { s.ID = "" },
		} {
			wrong := s
			change(&wrong)
			if err := w.executor.DeleteSnapshot(ctx, wrong); !errors.Is(err, doclient.ErrNotAllowed) || doclient.Unclear(err) {
				t.Errorf("%+v: %v", wrong, err)
			}
		}
		clear := w.Inject(dosim.DropBefore.On("GET", "/v2/snapshots"))
		if err := w.executor.DeleteSnapshot(ctx, s); err == nil || doclient.Unclear(err) {
			t.Errorf("the look before was lost, nothing was ordered: %v", err)
		}
		clear()
		if n := len(w.Requests("DELETE", "/")); n != 0 || len(w.Snapshots()) != 1 {
			t.Fatalf("%d DELETEs", n)
		}
		check(t, w.executor.DeleteSnapshot(ctx, s))
	})
}

// Scopes know no single droplets, so the tag is the fence.
func TestOrdersStayWithinTheTag(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, dosim.Options{}, func(o *doclient.Options) { o.OnlyTag = "celery" })
		w.AddDroplet(dosim.Droplet{ID: 9, Tags: []string{"database"}})
		if _, err := w.executor.Reboot(ctx, 9); !errors.Is(err, doclient.ErrNotAllowed) || doclient.Unclear(err) {
			t.Errorf("an untagged droplet: %v", err)
		}
		if _, err := w.executor.Snapshot(ctx, 99, "x"); !errors.Is(err, doclient.ErrNotAllowed) || !errors.Is(err, doclient.ErrNotFound) {
			t.Errorf("no droplet: %v", err)
		}
		if _, err := w.executor.Snapshot(ctx, web1, ""); !errors.Is(err, doclient.ErrNotAllowed) {
			t.Errorf("no name: %v", err)
		}
		if posts(w) != 0 {
			t.Errorf("%d POSTs", posts(w))
		}
		_, err := w.executor.Reboot(ctx, web1)
		check(t, err)
	})
}
