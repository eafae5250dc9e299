package history

import (
	"encoding/json"
	"testing"

	"github.com/dropleak/dropleak/detector/sample"
	"github.com/google/go-cmp/cmp"
)

// FuzzPlainLabels: what is read without the JSON decoder is what it would
// read.
func FuzzPlainLabels(f *testing.F) {
	for _, list := range []string{
		`[["__name__","dropleak_process_memory_bytes"],["droplet","1"],["kind","rss"],["worker","w,[1]"]]`,
		`[["a",""]]`, `[["",""]]`, `[["a","b","c"]]`, `[["a"]]`, `[["a","b"],["c"]]`, `[["a","b"], ["c","d"]]`, `[]`, `[[]]`, ``, `[["]]`, `[[""]]`,
		`[["a","\u003cb\u003e"]]`, `[["a","\"],[\""]]`, "[[\"a\",\"\xff\"]]", "[[\"a\",\"\t\"]]", `[["a","ö"]]`, `[["a","b"]]x`, `[["a","b"],["c","d"]`,
	} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		got, ok := plainLabels(list)
		if !ok {
			return
		}
		var pairs [][2]string
		if err := json.Unmarshal([]byte(list), &pairs); err != nil {
			t.Fatalf("%q is no list of pairs, and was read as %v: %v", list, got, err)
		}
		var want []sample.Label
		for _, p := range pairs {
			want = append(want, sample.Label{Name: p[0], Value: p[1]})
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", list, d)
		}
	})
}

// TestPlainLabels: the labels of the agent go the short way, and all come
// back as they were written.
func TestPlainLabels(t *testing.T) {
	for value, plain := range map[string]bool{"celery@web-1": true, "a b": true, `say "hi"`: false, "größe": false, "<a>": false, `C:\x`: false} {
		in := sample.Series{Labels: []sample.Label{{Name: sample.MetricName, Value: "m"}, {Name: "worker", Value: value}}}
		set, err := newSet(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := plainLabels(set.Labels); ok != plain {
			t.Errorf("%s: plain %v", set.Labels, ok)
		}
		out, err := Entry{Labels: set.Labels}.series()
		if d := cmp.Diff(in.Labels, out.Labels); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", set.Labels, err, d)
		}
	}
}

// TestRoomBeforeReading: the points of pushes and chunks are read into room
// that was made once.
func TestRoomBeforeReading(t *testing.T) {
	const minutes = 60
	var pushes []Push
	var chunks []Chunk
	for m := range minutes {
		pts := []sample.Point{{At: int64(m) * 60_000, V: 4096}}
		body := encodeChunk(nil, pts)
		chunks = append(chunks, Chunk{ChunkKey: ChunkKey{Series: 7, Start: int64(m)}, Body: body})
		pushes = append(pushes, Push{Body: append([]byte{7, byte(len(body))}, body...)})
	}
	all, err := gather(pushes, nil, nil)
	if got := all[7]; err != nil || len(got) != minutes || cap(got) != minutes {
		t.Errorf("%d points in room for %d, %v", len(got), cap(got), err)
	}
	other := Chunk{ChunkKey: ChunkKey{Series: 8}, Body: encodeChunk(nil, []sample.Point{{At: 1, V: 1}})}
	if n := rawPoints(append(chunks, other)); n != minutes {
		t.Errorf("room for %d points of series 7", n)
	}
	if n := pointsIn(nil); n != 0 {
		t.Errorf("nothing holds %d points", n)
	}
	for _, p := range [][]byte{{0}, {0, 0xff}, {0, 0xff, 0xff, 0xff, 0xff, 0x7f}} { // room for what a broken body says would be gigabytes
		if n := pointsIn(p); n != 0 {
			t.Errorf("%v holds %d points", p, n)
		}
	}
}
