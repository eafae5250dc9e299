package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector/sample"
)

// kept is a writer that keeps what it gets.
type kept struct {
	series []sample.Series
	owner  history.Owner // of the last
}

func (k *kept) WriteAs(_ context.Context, owner history.Owner, series []sample.Series) error {
	k.series, k.owner = append(k.series, series...), owner
	return nil
}

// sender is a hub that believes one token about droplet 42, which is web-1.
func sender(o Options, kind Kind) (*Hub, *kept) {
	k := &kept{}
	o.InTag = func(_ context.Context, _, id string) (bool, error) { return id == "42", nil }
	o.Locate = func(_ context.Context, _, name string) (string, error) {
		return map[string]string{"web-1": "42"}[name], nil
	}
	return New(one{token: Token{ID: "t", Kind: kind, Tag: "celery", Droplet: "42"}}, k, o), k
}

func postCollectd(h *Hub, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", PathCollectd, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer x")
	r.Header.Set("Content-Type", kind)
	rec := httptest.NewRecorder()
	h.Handler().ServeHTTP(rec, r)
	return rec
}

// list is one element of write_http's JSON.
func list(plugin, instance, kind, part string, at float64, values string) string {
	return fmt.Sprintf(`{"values":[%s],"dstypes":["gauge"],"dsnames":["value"],"time":%.3f,"interval":10.000,"host":"web-1","plugin":%q,`+
		`"plugin_instance":%q,"type":%q,"type_instance":%q,"meta":{"network:received":true}}`, values, at, plugin, instance, kind, part)
}

// said is what was kept, by name and kind, worker, slot and moment.
func (k *kept) said() map[string]float64 {
	out := map[string]float64{}
	for _, s := range k.series {
		for _, p := range s.Points {
			out[fmt.Sprintf("%s %s %s/%s/%s %s %d", strings.TrimPrefix(s.Name(), "dropleak_"), s.Get("kind"), s.Get("droplet"), s.Get("worker"), s.Get("slot"),
				s.Get("source"), p.At)] = p.V
		}
	}
	return out
}

var memoryParts = map[string]string{"used": "600", "free": "100", "buffered": "10", "cached": "200", "slab_recl": "50", "slab_unrecl": "40"}

// Both formats say the same: a group's sum, its CPU time, and the droplet's
// memory once all parts are there, in whatever order and requests they come.
func TestCollectd(t *testing.T) {
	want := map[string]float64{
		"process_memory_bytes rss 42/mail/group collectd 1790000001000":   5e6,
		"process_cpu_seconds_total  42/mail/group collectd 1790000001000": 3,
		"droplet_memory_available_bytes  42// collectd 1790000001000":     360,
		"droplet_memory_total_bytes  42// collectd 1790000001000":         1000,
		"droplet_slab_bytes  42// collectd 1790000001000":                 90,
	}
	lists := []string{list("processes", "mail", "ps_rss", "", 1790000000.911, "5000000"), list("processes", "mail", "ps_vm", "", 1790000000.911, "9e9"),
		list("processes", "mail", "ps_count", "", 1790000000.911, "2,8"), list("processes", "mail", "ps_cputime", "", 1790000000.916, "1000000,2000000"),
		list("processes", "gone", "ps_rss", "", 1790000000.911, "0"), list("processes", "", "ps_state", "running", 1790000000.9, "3"),
		list("processes", "mail", "ps_rss", "", 1790000010.9, "null")}
	commands := []string{"PUTVAL web-1/processes-mail/ps_rss interval=10.000 1790000000.911:5000000", `PUTVAL "web-1/processes-my worker/ps_rss" interval=1 1790000000:nan`,
		"PUTVAL web-1/processes-mail/ps_cputime interval=10.000 1790000000.916:1000000:2000000", "PUTVAL web-1/processes-mail/ps_count interval=10.000 1790000000.911:2:8",
		"PUTVAL web-1/processes-mail/ps_vm interval=10.000 1790000000.911:U"}
	for part, v := range memoryParts {
		lists = append(lists, list("memory", "", "memory", part, 1790000000.964, v))
		commands = append(commands, "PUTVAL web-1/memory/memory-"+part+" interval=10.000 1790000000.964:"+v)
	}
	for name, bodies := range map[string][]string{
		collectdJSON + " at once":       {"[" + strings.Join(lists, ",") + "]"},
		collectdJSON + " one by one":    {"[" + strings.Join(lists, "]\n[") + "]"},
		collectdCommand + " at once":    {strings.Join(commands, "\r\n") + "\r\n"},
		collectdCommand + " one by one": commands,
	} {
		h, k := sender(Options{}, Sender)
		kind, _, _ := strings.Cut(name, " ")
		for _, body := range bodies {
			for _, part := range strings.Split(body, "\n[") {
				if !strings.HasPrefix(part, "[") && kind == collectdJSON {
					part = "[" + part
				}
				if rec := postCollectd(h, kind, part); rec.Code != http.StatusNoContent {
					t.Fatalf("%s: %d %s to %s", name, rec.Code, rec.Body, part)
				}
			}
		}
		got := k.said()
		for key, v := range want {
			if g, ok := got[key]; !ok || math.Abs(g-v) > 1e-9 {
				t.Errorf("%s: %s is %v, want %v", name, key, g, v)
			}
			delete(got, key)
		}
		if len(got) > 0 {
			t.Errorf("%s: also kept %v", name, got)
		}
	}
}

// What is wrong is refused whole, and says why.
func TestCollectdRefusals(t *testing.T) {
	fine := list("processes", "mail", "ps_rss", "", 1790000000, "5")
	for _, c := range []struct {
		name, kind, body string
		o                Options
		status           int
		says             string
	}{
		{"protobuf", "application/x-protobuf", "", Options{}, 415, "content type"},
		{"no array", collectdJSON, fine, Options{}, 400, "no JSON array"},
		{"cut short", collectdJSON, "[" + fine, Options{}, 400, "does not end"},
		{"more behind", collectdJSON, "[" + fine + "]]", Options{}, 400, "more follows"},
		{"broken in the middle", collectdJSON, "[" + fine + `,{"values":"x"}]`, Options{}, 400, "element at byte"},
		{"no moment", collectdJSON, "[" + list("processes", "mail", "ps_rss", "", -5, "5") + "]", Options{}, 400, "no time"},
		{"too large", collectdJSON, "[" + fine + "]", Options{MaxBody: 10}, 413, "10 bytes"},
		{"too many", collectdJSON, "[" + list("processes", "mail", "ps_x", "", 1, strings.Repeat("1,", 50)+"1") + "]", Options{MaxItems: 50}, 413, "more than 50"},
		{"too many lines", collectdCommand, strings.Repeat("PUTVAL h/p/t 1:1\n", 30), Options{MaxItems: 50}, 413, "more than 50"},
		{"another host", collectdJSON, "[" + strings.Replace(fine, "web-1", "web-9", 1) + "]", Options{}, 403, "web-9"},
		{"far ahead", collectdJSON, "[" + list("processes", "mail", "ps_rss", "", 99e9, "5") + "]", Options{}, 400, "set the clock"},
		{"no command", collectdCommand, "GETVAL a/b/c 1:1", Options{}, 400, "line 1"},
		{"no value", collectdCommand, "\nPUTVAL a/b/c interval=1 1:x", Options{}, 400, "line 2"},
		{"open quotes", collectdCommand, `PUTVAL "a/b/c 1:1`, Options{}, 400, "line 1"},
	} {
		h, k := sender(c.o, Sender)
		rec := postCollectd(h, c.kind, c.body)
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.says) || len(k.series) > 0 {
			t.Errorf("%s: %d %s, kept %v; want %d %q", c.name, rec.Code, rec.Body, k.series, c.status, c.says)
		}
	}
	h, _ := sender(Options{}, Agent)
	if rec := postCollectd(h, collectdJSON, "["+fine+"]"); rec.Code != http.StatusForbidden {
		t.Errorf("with an agent's token: %d", rec.Code)
	}
}

// FuzzCollectd: foreign bytes give value lists or an error, never a panic,
// nor more of them than is allowed.
func FuzzCollectd(f *testing.F) {
	f.Add(true, []byte("["+list("memory", "", "memory", "free", 1790000000, "1,null")+"]"))
	f.Add(false, []byte(`PUTVAL "web-1/processes-my \"worker\"/ps_cputime" interval=10 1790000000.1:1:2`+"\nPUTVAL a/b/c N:U"))
	f.Fuzz(func(t *testing.T, first bool, b []byte) {
		const most = 100
		n, held := 0, sample.Collectd{}
		each := eachCommand
		if first {
			each = eachValueList
		}
		err := each(b, &counter{left: most}, func(v sample.CollectdValues) {
			n += 1 + len(v.Values)
			for _, s := range held.Series(v) {
				if s.Name() == "" || len(s.Points) != 1 || s.Points[0].At <= 0 || math.IsNaN(s.Points[0].V) {
					t.Fatalf("%+v of %+v", s, v)
				}
			}
		})
		if n > most {
			t.Fatalf("%d items, %v", n, err)
		}
		if first && err == nil && json.Unmarshal(b, &[]valueList{}) != nil {
			t.Fatalf("%q is no JSON", b)
		}
	})
}
