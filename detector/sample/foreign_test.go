package sample

import (
	"regexp"
	"testing"
)

func TestGrouped(t *testing.T) {
	own := regexp.MustCompile(`^(?P<pid>[0-9]+)@(?P<worker>[a-z]+)$`)
	for _, tt := range []struct {
		pattern           *regexp.Regexp
		name, worker, pid string
	}{
		{Groupname, "celery", "celery", ""},
		{Groupname, "celery;4711", "celery", "4711"},
		{Groupname, "mail-worker-12", "mail-worker", "12"},
		{Groupname, "mail@web-1 7", "mail@web-1", "7"},
		{Groupname, "4711", "4711", ""},
		{Groupname, "", "", ""},
		{own, "12@mail", "mail", "12"},
		{own, "mail;12", "mail;12", ""},
	} {
		if worker, pid := Grouped(tt.pattern, tt.name); worker != tt.worker || pid != tt.pid {
			t.Errorf("%q is %q %q, want %q %q", tt.name, worker, pid, tt.worker, tt.pid)
		}
	}
}

// What foreign names become are names that the codec knows.
func TestForeignNamesAreOurs(t *testing.T) {
	for theirs, ours := range NodeNames {
		if !Known(ours) {
			t.Errorf("%s becomes %s, which nobody reads", theirs, ours)
		}
	}
}
