package testbed

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// apart marks the test binary that [Apart] starts; its value is the test that it plays.
const apart = "BED_APART"

// Apart plays the calling test a second time, in a test binary of its own with process namespace and /proc of its own,
// and reports true once it has passed there: the caller returns then. In that binary it reports false, and the caller
// goes on. So a test whose agent sees every Celery worker there is sees only its own, and runs beside other tests.
// The environment gets the given words NAME=VALUE.
//
//	if testbed.Apart(t) {
//		return
//	}
//
// Namespaces need root. Without it the test goes on where it is called, by itself.
func Apart(t *testing.T, env ...string) (played bool) {
	t.Helper()
	if os.Getenv(apart) == t.Name() {
		if err := ownProc(); err != nil {
			t.Fatal(err)
		}
		return false
	}
	if os.Geteuid() != 0 {
		return false
	}
	t.Parallel()
	if err := playApart(t, env); err != nil {
		t.Error(err)
	}
	return true
}

// playApart has another test binary play the test, and passes on what it prints.
func playApart(t *testing.T, env []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the test binary: %w", err)
	}
	name := regexp.QuoteMeta(t.Name())
	args := []string{"-test.run=^" + name + "$", "-test.v", "-test.count=1"}
	if end, ok := t.Deadline(); ok {
		// It says where it hangs before this binary would.
		args = append(args, "-test.timeout="+max(time.Until(end)-time.Minute, time.Second).String())
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	// Whatever lives on when the test has ended is killed with the namespace, and tidies nothing up.
	temp := Folder(t)
	if err := os.Chmod(temp, 0o777|os.ModeSticky); err != nil {
		return err
	}
	cmd.Env = append(append(os.Environ(), apart+"="+t.Name(), "TMPDIR="+temp), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	out := io.MultiWriter(t.Output(), &said)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s in a namespace of its own: %w", t.Name(), err)
	}
	if !regexp.MustCompile(`(?m)^--- PASS: ` + name + ` \(`).Match(said.Bytes()) {
		return fmt.Errorf("%s did not run to its end in its namespace", t.Name())
	}
	return nil
}

// ownProc mounts the /proc of this process namespace, for this mount namespace alone.
func ownProc() error {
	if os.Getpid() != 1 {
		return fmt.Errorf("pid %d is not the first of its namespace", os.Getpid())
	}
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}
