package source_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
)

// readsInflux makes the feed one of an InfluxDB.
func (k *kept) readsInflux(t *testing.T, o source.InfluxOptions, a source.Access, name string) {
	t.Helper()
	client, err := a.Client(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	o.Name, o.Client, o.Cursors = name, client, k.store
	i, err := source.NewInflux(o)
	if err != nil {
		t.Fatal(err)
	}
	again := newKept(t, source.FeedOptions{Name: name, Fetch: i})
	k.Feed, k.h, k.store = again.Feed, again.h, again.store
}

// TestInfluxOfCollectd: a real collectd sends to a real InfluxDB, of which a
// group and the droplet's memory are read, each reading once.
func TestInfluxOfCollectd(t *testing.T) {
	sleeper(t)
	db := testbed.Influx(t, "")
	host, port, err := net.SplitHostPort(db.Collectd)
	if err != nil {
		t.Fatal(err)
	}
	testbed.Collectd(t, "web-1", fmt.Sprintf("LoadPlugin processes\nLoadPlugin memory\nLoadPlugin network\n<Plugin processes>\n"+
		"  ProcessMatch \"mail\" \"sleep --name mail@web-1\"\n</Plugin>\n<Plugin network>\n  Server %q %q\n</Plugin>\n", host, port))
	k := newKept(t, source.FeedOptions{})
	k.readsInflux(t, source.InfluxOptions{URL: db.URL}, source.Access{}, "influxdb")
	testbed.Eventually(t, time.Minute, func() error {
		if err := k.Pull(t.Context()); err != nil {
			return err
		}
		return k.seesGroup(5)
	})
	if err := k.regular(); err != nil {
		t.Error(err)
	}
	if st := k.State(); st.Error != "" || len(st.Missing)+len(st.Nameless)+len(st.Unplaced) != 0 || time.Since(st.Newest) > time.Minute {
		t.Errorf("state %+v", st)
	}
}

// seesGroup wants the worker as one group with n readings of memory and CPU
// time, and the droplet's memory.
func (k *kept) seesGroup(n int) error {
	q := history.Query{From: time.Now().Add(-time.Hour), To: time.Now()}
	ws, err := k.h.Workers(k.t.Context(), q)
	if err != nil || len(ws) != 1 || ws[0].Name != "mail" || ws[0].Droplet != "42" || len(ws[0].Lives) != 1 || ws[0].Lives[0].Slot != sample.SlotGroup {
		return fmt.Errorf("workers %+v, %w", ws, err)
	}
	l := ws[0].Lives[0]
	if s := l.Samples[len(l.Samples)-1]; len(l.Samples) < n || !(s.RSS > 100<<10) || !sample.Measured(l.Samples[0].CPU) {
		return fmt.Errorf("%d readings, of them %+v", len(l.Samples), s)
	}
	ds, err := k.h.Droplets(k.t.Context(), q)
	if err != nil || len(ds) != 1 || len(ds[0].Available) < n || ds[0].Total < 1<<28 {
		return fmt.Errorf("droplets %+v, %w", ds, err)
	}
	return nil
}

// influxDo sends a command or lines to a server as an administrator.
func influxDo(t *testing.T, server, path, body string) {
	t.Helper()
	kind := "text/plain"
	if path == "/query" {
		kind, body = "application/x-www-form-urlencoded", url.Values{"q": {body}}.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.SetBasicAuth("root", "toor")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode/100 != 2 || strings.Contains(string(text), `"error"`) {
		t.Fatalf("%s: %s %s, %v", path, resp.Status, text, err)
	}
}

// TestInfluxOfTelegraf reads lines as telegraf's procstat and mem write them
// (by hand, telegraf is not in Debian), in parts where the server gives no
// more, under a user's password, and says what is wrong where something is.
func TestInfluxOfTelegraf(t *testing.T) {
	db := testbed.Influx(t, "auth-enabled = true\n[coordinator]\nmax-select-point = 250\n")
	influxDo(t, db.URL, "/query", "CREATE USER root WITH PASSWORD 'toor' WITH ALL PRIVILEGES")
	influxDo(t, db.URL, "/query", "CREATE DATABASE telegraf; CREATE USER reader WITH PASSWORD 'a\\'b'; GRANT READ ON telegraf TO reader; CREATE USER nobody WITH PASSWORD 'x'")
	from := time.Now().Add(-170 * time.Minute).Truncate(time.Second)
	var lines strings.Builder
	for m := range 170 {
		at := from.Add(time.Duration(m) * time.Minute).UnixNano()
		for _, pid := range []int{7, 8} {
			fmt.Fprintf(&lines, "procstat,host=web-1,pattern=mail,pid=%d,process_name=celery memory_rss=%di,memory_swap=4096i,cpu_time_user=%d,cpu_time_system=1,num_threads=1i,created_at=%di %d\n",
				pid, 1<<20+m, m, from.Add(-time.Hour).UnixNano(), at)
		}
		fmt.Fprintf(&lines, "mem,host=web-1 available=500i,total=1000i,slab=10i,shared=20i,used_percent=50 %d\n", at)
	}
	influxDo(t, db.URL, "/write?db=telegraf", lines.String())
	reader := source.Access{User: "reader", Password: "a'b"}
	k := newKept(t, source.FeedOptions{})
	k.readsInflux(t, source.InfluxOptions{URL: db.URL, Database: "telegraf"}, reader, "telegraf")
	for range 2 { // the second brings nothing new
		if err := k.Pull(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if st := k.State(); st.Samples != 0 || len(st.Missing) != 0 {
		t.Errorf("state %+v", st)
	}
	k.telegraf(from)
	for _, c := range []struct {
		name string
		o    source.InfluxOptions
		a    source.Access
		want string
	}{
		{"password", source.InfluxOptions{Database: "telegraf"}, source.Access{User: "reader", Password: "no"}, "401 Unauthorized: authorization failed"},
		{"forbidden", source.InfluxOptions{Database: "telegraf"}, source.Access{User: "nobody", Password: "x"}, "nobody"},
		{"database", source.InfluxOptions{Database: "none"}, source.Access{User: "root", Password: "toor"}, "database not found: none"},
		{"syntax", source.InfluxOptions{Database: "telegraf", Queries: []string{"SELEC rss WHERE $range"}}, reader, "error parsing query"},
		{"away", source.InfluxOptions{URL: "http://127.0.0.1:1"}, reader, "connection refused"},
	} {
		if c.o.URL == "" {
			c.o.URL = db.URL
		}
		k.readsInflux(t, c.o, c.a, c.name)
		if err := k.Pull(t.Context()); err == nil || !strings.Contains(k.State().Error, c.want) || strings.Contains(k.State().Error, "epoch=ms") {
			t.Errorf("%s: %q, want %q", c.name, k.State().Error, c.want)
		}
	}
	k.readsInflux(t, source.InfluxOptions{URL: db.URL, Database: "telegraf", Queries: []string{"SELECT nothing FROM nowhere WHERE $range"}}, reader, "empty")
	if err := k.Pull(t.Context()); err != nil || !slices.Equal(k.State().Missing, []string{"SELECT nothing FROM nowhere WHERE $range"}) {
		t.Errorf("%v, state %+v", err, k.State())
	}
}

// telegraf wants both processes whole, with pid as their slot.
func (k *kept) telegraf(from time.Time) {
	k.t.Helper()
	q := history.Query{From: from.Add(-time.Hour), To: time.Now()}
	ws, err := k.h.Workers(k.t.Context(), q)
	if err != nil || len(ws) != 1 || ws[0].Name != "mail" || len(ws[0].Lives) != 2 {
		k.t.Fatalf("%+v, %v", ws, err)
	}
	for i, l := range ws[0].Lives {
		s := l.Samples[len(l.Samples)-1]
		if l.Slot != fmt.Sprint(7+i) || len(l.Samples) != 170 || l.Start.Sub(from.Add(-time.Hour)).Abs() > time.Second || s.RSS != 1<<20+169 || s.Swap != 4096 || s.CPU != 170 {
			k.t.Errorf("slot %s from %v with %d readings, at last %+v", l.Slot, l.Start, len(l.Samples), s)
		}
	}
	ds, err := k.h.Droplets(k.t.Context(), q)
	if err != nil || len(ds) != 1 || len(ds[0].Available) != 170 || ds[0].Total != 1000 {
		k.t.Errorf("%+v, %v", ds, err)
	}
}

// TestInfluxAnswers: an answer that broke off, or is none, is an error and no
// smaller answer.
func TestInfluxAnswers(t *testing.T) {
	const row = `{"results":[{"series":[{"name":"procstat","tags":{"host":"web-1","pattern":"mail"},"columns":["time","memory_rss"],"values":[[1790000000000,5]]}],"partial":%t}]}` + "\n"
	for _, c := range []struct{ name, body, want string }{
		{"whole", fmt.Sprintf(row, true) + fmt.Sprintf(row, false), ""},
		{"more was to follow", fmt.Sprintf(row, true), "broke off"},
		{"cut short", fmt.Sprintf(row, false)[:60], "broke off"},
		{"nothing", "", "broke off"},
		{"a page", "<html>", "none of InfluxDB"},
		{"an error late", fmt.Sprintf(row, true) + `{"results":[{"error":"shard is gone"}]}`, "shard is gone"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.body) }))
		k := newKept(t, source.FeedOptions{})
		k.readsInflux(t, source.InfluxOptions{URL: server.URL, Backfill: time.Hour, Queries: []string{"SELECT memory_rss FROM procstat WHERE $range GROUP BY *"}}, source.Access{}, "influxdb")
		err := k.Pull(t.Context())
		if c.want == "" && (err != nil || len(k.holds()) != 1) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || len(k.holds()) != 0) {
			t.Errorf("%s: %v, want %q; history %v", c.name, err, c.want, k.holds())
		}
		server.Close()
	}
}
