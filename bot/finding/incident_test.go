package finding

import (
	"maps"
	"testing"
	"time"
)

// grown is a leak of a worker that began some minutes after noon.
func grown(id, droplet, worker string, minutes int, change ...func(*Finding)) Finding {
	f := Finding{ID: id, State: Open, Subject: Subject{Kind: KindLeak, DropletID: droplet, Worker: worker},
		Opened: noon.Add(time.Duration(id[0]) * time.Second),
		Began:  noon.Add(time.Duration(minutes) * time.Minute)}
	for _, c := range change {
		c(&f)
	}
	return f
}

func of(app, unit string) func(*Finding) { return func(f *Finding) { f.App, f.Unit = app, unit } }

func in(incident string) func(*Finding) { return func(f *Finding) { f.Incident = incident } }

func TestGather(t *testing.T) {
	state := func(s State) func(*Finding) { return func(f *Finding) { f.State = s } }
	for name, tt := range map[string]struct {
		live []Finding
		want map[string]string
	}{
		"one alone":                 {[]Finding{grown("a", "1", "mail", 0)}, nil},
		"two of one name":           {[]Finding{grown("b", "2", "mail", 30), grown("a", "1", "mail", 0)}, map[string]string{"a": "a", "b": "a"}},
		"at the edge of the window": {[]Finding{grown("a", "1", "mail", 0), grown("b", "2", "mail", 120)}, map[string]string{"a": "a", "b": "a"}},
		"out of the window":         {[]Finding{grown("a", "1", "mail", 0), grown("b", "2", "mail", 121)}, nil},
		"other workers":             {[]Finding{grown("a", "1", "mail", 0), grown("b", "1", "video", 0)}, nil},
		"of one app":                {[]Finding{grown("a", "1", "mail", 0, of("shop", "")), grown("b", "1", "video", 0, of("shop", ""))}, map[string]string{"a": "a", "b": "a"}},
		"of one unit":               {[]Finding{grown("a", "1", "mail", 0, of("", "celery.service")), grown("b", "2", "x", 0, of("", "celery.service"))}, map[string]string{"a": "a", "b": "a"}},
		"one unit's name, two apps": {[]Finding{grown("a", "1", "celery", 0, of("shop", "celery.service")), grown("b", "2", "celery", 0, of("blog", "celery.service"))}, nil},
		"one app is not known":      {[]Finding{grown("a", "1", "mail", 0, of("shop", "")), grown("b", "2", "mail", 0)}, map[string]string{"a": "a", "b": "a"}},
		"a third joins":             {[]Finding{grown("a", "1", "mail", 0, in("a")), grown("b", "2", "mail", 0, in("a")), grown("c", "3", "mail", 90)}, map[string]string{"c": "a"}},
		"no chain of onsets":        {[]Finding{grown("a", "1", "mail", 0), grown("b", "2", "mail", 100), grown("c", "3", "mail", 200)}, map[string]string{"a": "a", "b": "a"}},
		"muted ones stay apart":     {[]Finding{grown("a", "1", "mail", 0), grown("b", "2", "mail", 0, state(Muted))}, nil},
		"no onset":                  {[]Finding{grown("a", "1", "mail", 0), grown("b", "2", "mail", 0, func(f *Finding) { f.Began = time.Time{} })}, nil},
		"silence is no leak":        {[]Finding{grown("a", "1", "mail", 0), grown("b", "2", "mail", 0, func(f *Finding) { f.Subject.Kind = KindSilent })}, nil},
		"in hand joins too":         {[]Finding{grown("a", "1", "mail", 0, state(InHand)), grown("b", "2", "mail", 0)}, map[string]string{"a": "a", "b": "a"}},
	} {
		if got := Gather(tt.live, 2*time.Hour); !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
