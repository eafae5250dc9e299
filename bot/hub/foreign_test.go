package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"testing"

	"github.com/dropleak/dropleak/detector/sample"
)

func sent(name, droplet, instance string) sample.Series {
	s := sample.Series{Labels: []sample.Label{{Name: "__name__", Value: name}, {Name: "instance", Value: instance}}, Points: []sample.Point{{At: 1, V: 2}}}
	s.Labels = with(with(with(s.Labels, "droplet", droplet), "groupname", "mail;7"), "memtype", "resident")
	return s
}

// A sender's series is its droplet's, by id, name or address, and refused
// where that is none of the tag.
func TestSenderIsBelieved(t *testing.T) {
	h := New(nil, nil, Options{
		InTag: func(_ context.Context, tag, id string) (bool, error) { return tag == "celery" && id == "42", nil },
		Locate: func(_ context.Context, _, name string) (string, error) {
			return map[string]string{"web-1": "42", "web-1:9256": "42", "web-2": "43"}[name], nil
		}})
	for _, c := range []struct {
		droplet, instance string
		status            int // of the refusal; 0: believed
	}{{"42", "x:1", 0}, {"web-1", "x:1", 0}, {"", "web-1:9256", 0}, {"web-2", "x:1", http.StatusForbidden}, {"43", "web-1:9256", http.StatusForbidden},
		{"nobody", "web-1:9256", http.StatusForbidden}, {"", "nowhere:1", http.StatusBadRequest}} {
		got, err := h.believe(t.Context(), Token{Kind: Sender, Tag: "celery"}, "sender", []sample.Series{sent(sample.GroupMemory, c.droplet, c.instance)})
		var no *refusal
		if errors.As(err, &no); c.status != 0 && (no == nil || no.status != c.status) {
			t.Errorf("%q at %q: %v, want %d", c.droplet, c.instance, err, c.status)
		}
		if c.status == 0 && (err != nil || len(got) != 1 || got[0].Get("droplet") != "42" || got[0].Get("worker") != "mail" || got[0].Get("slot") != "7" ||
			got[0].Get("source") != "sender" || got[0].Get("instance") != "") {
			t.Errorf("%q at %q: %+v, %v", c.droplet, c.instance, got, err)
		}
	}
}

// The operator's labels and pattern name the worker in place of the usual.
func TestMappingsBy(t *testing.T) {
	ms := MappingsBy([]string{"queue"}, regexp.MustCompile(`^(?P<pid>\d+)@(?P<worker>.+)$`))
	rss := sent("process_resident_memory_bytes", "42", "web-1:80")
	rss.Labels = with(rss.Labels, "queue", "video")
	group := sent(sample.GroupMemory, "42", "web-1:9256")
	group.Labels = with(group.Labels, "groupname", "7@mail")
	got, others := ms.Translate([]sample.Series{rss, group, sent("up", "42", "web-1:80"), sent("dropleak_x", "42", "")})
	if len(got) != 3 || len(others) != 1 || others[0].Name() != "up" {
		t.Fatalf("%+v, others %+v", got, others)
	}
	if got[0].Name() != "dropleak_x" || got[1].Get("worker") != "video" || got[1].Get("slot") != "web-1:80" || got[2].Get("worker") != "mail" || got[2].Get("slot") != "7" {
		t.Errorf("%+v", got)
	}
}

// TestPidLabel: Python's client in its mode for several processes tells them
// apart by a label; they are as many processes of the worker.
func TestPidLabel(t *testing.T) {
	var series []sample.Series
	for _, pid := range []string{"7", "8", ""} {
		s := sent("process_resident_memory_bytes", "42", "web-1:80")
		s.Labels = with(with(s.Labels, "worker", "video"), "pid", pid)
		series = append(series, s)
	}
	got, _ := DefaultMappings().Translate(series)
	var slots []string
	for _, s := range got {
		slots = append(slots, s.Get("slot"))
	}
	if fmt.Sprint(slots) != "[7 8 web-1:80]" {
		t.Errorf("slots %v", slots)
	}
}
