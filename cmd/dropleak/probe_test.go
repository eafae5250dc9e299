package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestProbePrint: what is printed is the shipped file, and Debian's Python
// takes it without any package beside Celery.
func TestProbePrint(t *testing.T) {
	var out, talk bytes.Buffer
	if code := run(t.Context(), []string{"probe", "print"}, strings.NewReader(""), &out, &talk); code != 0 || talk.Len() > 0 {
		t.Fatalf("exit %d: %s", code, &talk)
	}
	shipped, err := os.ReadFile("../../configs/celery/dropleak_probe.py")
	if err != nil || !bytes.Equal(shipped, out.Bytes()) {
		t.Errorf("not the shipped file (%v)", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dropleak_probe.py"), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-c", "import dropleak_probe; print(dropleak_probe.current().counts)")
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil || string(said) != "{}\n" {
		t.Errorf("%v: %s", err, said)
	}
}
