package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const superuser, daemon, nobody = 0, 1, 65534

// as runs a command as another user, and returns how it exits and what it says.
func (d *desk) as(uid uint32, command string, args ...string) (code int, said string) {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), "/proc/self/exe") // the test's folder is closed to others
	cmd.Args = append([]string{"dropleak", command, "--config", d.config}, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		d.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// sharedDesk is a desk that every user reaches, with the service's empty data
// directory: its user is nobody.
func sharedDesk(t *testing.T, mode os.FileMode) (d *desk, data string) {
	t.Helper()
	d = newDesk(t, "")
	data = filepath.Join(d.dir, "data")
	for _, err := range []error{os.Chmod(filepath.Dir(d.dir), 0o755), os.Chmod(d.dir, 0o755), os.Chmod(d.config, 0o644), os.Mkdir(data, 0o700),
		os.Chmod(data, mode), os.Chown(data, nobody, nobody)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return d, data
}

// A token made by root before the first start does not keep the service from
// its store; nor does a restore by root.
func TestRootMakesTheServicesFiles(t *testing.T) {
	t.Parallel()
	for _, deeper := range []string{"", "of/dropleak"} { // the second is not there yet
		d, data := sharedDesk(t, 0o700)
		text, err := os.ReadFile(d.config)
		if err != nil {
			t.Fatal(err)
		}
		d.write("dropleak.yaml", strings.ReplaceAll(string(text), data, filepath.Join(data, deeper)))
		code, said := d.as(superuser, "token", "create", "--droplet", "1", "--name", "a")
		wants(t, "a token by root", code, 0, said)
		code, said = d.as(nobody, "token", "list")
		wants(t, "the service's user afterwards", code, 0, said, "agent")
		backup := filepath.Join(d.dir, "made.bak")
		code, said = d.as(superuser, "backup", backup)
		wants(t, "a backup by root", code, 0, said)
		for _, err := range []error{os.Chmod(backup, 0o644), os.Remove(filepath.Join(data, deeper, "state.db")), os.Remove(filepath.Join(data, deeper, "history.db"))} {
			if err != nil {
				t.Fatal(err)
			}
		}
		code, said = d.as(superuser, "restore", backup)
		wants(t, "a restore by root", code, 0, said)
		code, said = d.as(nobody, "restore", backup) // which takes the lock, as the service does
		wants(t, "the service's user after the restore", code, 1, said, "the store is not empty")
	}
}

// Whoever may not work with the store's files is told whose they are.
func TestStoreOfSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mode  os.FileMode
		begun bool // by nobody, and root has left a lock there
		uid   uint32
		args  string
		want  string
	}{
		"begun by a third": {0o777, false, daemon, "token create --droplet 1 --name a",
			"%s belongs to nobody, and this is daemon, whose files the service could not open: act as the service's user (runuser -u nobody)"},
		"looked at by a third": {0o755, true, daemon, "token list",
			"%s belongs to nobody, and this is daemon: permission denied; act as the service's user (runuser -u nobody)"},
		"left behind by root": {0o755, true, nobody, "restore x.bak", "%s/lock belongs to root, not to nobody as its directory does: permission denied; as root: chown nobody "},
		"closed by its owner": {0o500, false, nobody, "token create --droplet 1 --name a", "%s is not to be written by its owner, nobody: permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			d, data := sharedDesk(t, tt.mode)
			d.write("x.bak", "")
			if tt.begun {
				code, said := d.as(nobody, "token", "create", "--droplet", "1", "--name", "a")
				wants(t, "begin", code, 0, said)
				if err := os.WriteFile(filepath.Join(data, "lock"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := filepath.Glob(filepath.Join(data, "*"))
			args := strings.Fields(strings.ReplaceAll(tt.args, "x.bak", filepath.Join(d.dir, "x.bak")))
			if err := os.Chmod(filepath.Join(d.dir, "x.bak"), 0o644); err != nil {
				t.Fatal(err)
			}
			code, said := d.as(tt.uid, args[0], args[1:]...)
			wants(t, tt.args, code, 1, said, fmt.Sprintf(tt.want, data))
			if after, _ := filepath.Glob(filepath.Join(data, "*")); len(after) != len(before) {
				t.Errorf("there were %q, and are %q", before, after)
			}
		})
	}
}
