package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/testbed"
)

// sshHost is a machine with a real systemd and sshd, prepared by the commands
// of docs/sources/ssh.md.
type sshHost struct {
	*testbed.Machine
	addr, key, known string
}

// page runs commands of a page in the machine, where the files are that it
// says to copy.
func (h *sshHost) page(t *testing.T, commands string) {
	t.Helper()
	h.Exec(t, "sh", "-ec", "cd /mnt\n"+commands)
}

// overSSH prepares a machine, with the keys that the page makes.
func (w *town) overSSH(t *testing.T) *sshHost {
	t.Helper()
	h := &sshHost{Machine: testbed.Systemd(t, testbed.MachineOptions{HostNetwork: true}), addr: freePort(t)}
	here := filepath.Join(w.dir, "etc")
	commands := strings.NewReplacer("/etc/dropleak", here, "dropleak ssh", w.dropleak+" ssh").Replace(passages(t, "ssh.md", "service"))
	if said, err := shellOut(commands); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	h.key, h.known = filepath.Join(here, "id_ed25519"), filepath.Join(here, "known_hosts")
	copyFile(t, h.key+".pub", filepath.Join(h.Shared, "id_ed25519.pub"))
	copyFile(t, filepath.Join(here, "dropleak-ssh"), filepath.Join(h.Shared, "dropleak-ssh"))
	_, port, err := net.SplitHostPort(h.addr)
	if err != nil {
		t.Fatal(err)
	}
	w.write(h.Path("/etc/ssh/sshd_config.d/bed.conf"), "Port "+port+"\nListenAddress 127.0.0.1\n")
	h.Exec(t, "sh", "-ec", "ssh-keygen -A && systemctl start systemd-user-sessions ssh")
	var known string
	testbed.Eventually(t, testbed.Patience, func() error {
		var err error
		known, err = shellOut(strings.NewReplacer("-t ed25519 10.0.0.5", "-t ed25519 -p "+port+" 127.0.0.1", "/etc/dropleak", here).Replace(passages(t, "ssh.md", "known")))
		if err == nil && known == "" {
			err = fmt.Errorf("sshd shows no key")
		}
		return err
	})
	fingerprint := func(line string) string { return strings.Fields(line + " - -")[1] }
	if own := h.Exec(t, "sh", "-ec", passages(t, "ssh.md", "fingerprint")); fingerprint(own) != fingerprint(known) {
		t.Errorf("the droplet's key is %s, what was seen is %s", own, known)
	}
	return h
}

// shellOut runs commands on this machine.
func shellOut(commands string) (string, error) {
	var said bytes.Buffer
	cmd := exec.Command("sh", "-ec", commands)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said.String())
	}
	return string(out), err
}

// checked waits until check --online finds all well and says these words.
func (w *town) checked(words ...string) (said string) {
	w.t.Helper()
	testbed.Eventually(w.t, testbed.Patience, func() error {
		out, err := w.shell(passages(w.t, "ssh.md", "check")).CombinedOutput()
		said = string(out)
		for _, word := range words {
			if err == nil && !strings.Contains(said, word) {
				err = fmt.Errorf("it does not say %q", word)
			}
		}
		if err != nil {
			return fmt.Errorf("check --online: %w\n%s", err, said)
		}
		return nil
	})
	return said
}

// TestSSHStory follows docs/sources/ssh.md on a machine without an agent: a
// key is bound to the script, what it shows leads to a verdict, and one click
// restarts the worker, an instance of a template unit, over SSH.
func TestSSHStory(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 53)
	w.mailer = "celery@mail"
	h := w.overSSH(t)
	app := testbed.Celery(t, testbed.Redis(t))
	copyFile(t, filepath.Join(app.Dir, "app.py"), filepath.Join(h.Shared, "app.py"))
	h.Unit(t, "celery@.service", strings.ReplaceAll(workerUnit(app, testbed.Worker{Name: "INSTANCE@" + dropletName, Queue: "INSTANCE"}), "INSTANCE", "%i"))
	h.Exec(t, "systemctl", "start", "celery@mail", "celery@video")
	app.Feed(t, testbed.Load{Task: testbed.Leak, Amount: 600 << 10, Every: 100 * time.Millisecond, Queue: "mail"})
	app.Feed(t, testbed.Load{Task: testbed.Steady, Amount: 200 << 10, Every: 250 * time.Millisecond, Queue: "video"})
	w.dropletFollows(func() []int { return []int{h.Init()} })

	h.page(t, passages(t, "ssh.md", "droplet"))
	w.append(strings.NewReplacer("10.0.0.5", h.addr, "/etc/dropleak/id_ed25519", h.key, "/etc/dropleak/known_hosts", h.known).Replace(passages(t, "ssh.md", "dropleak")) +
		passages(t, "ssh.md", "rule"))
	w.checked("2 Celery workers of", "needs CAP_SYS_PTRACE")
	h.page(t, passages(t, "ssh.md", "root"))
	if said := w.checked("2 Celery workers of"); strings.Contains(said, "CAP_SYS_PTRACE") {
		t.Errorf("with root's eyes check --online says\n%s", said)
	}
	if err := os.MkdirAll(h.Path("/etc/dropleak"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.write(h.Path("/etc/dropleak/ssh.allow"), passages(t, "ssh.md", "list"))
	w.serve()
	found := w.found("ssh")
	w.figures(w.mailer)
	if said := w.run("sources", "--config", w.config); !strings.Contains(said, "web-1-ssh") || strings.Contains(said, "web-1-ssh: ") {
		t.Errorf("sources does not say that the source is well:\n%s", said)
	}
	old, other := h.MainPID(t, "celery@mail.service"), h.MainPID(t, "celery@video.service")
	w.click(anna, found, report.ActionRestart)
	t.Log(w.await(2*testbed.Patience, "the run ends", w.mailer, "Memory freed, worker working", "→", "Snapshot `dropleak-").Text)
	if h.MainPID(t, "celery@mail.service") == old || h.MainPID(t, "celery@video.service") != other {
		t.Errorf("systemd runs pids %d and %d, ran %d and %d", h.MainPID(t, "celery@mail.service"), h.MainPID(t, "celery@video.service"), old, other)
	}
	if runs := strings.Fields(h.Exec(t, "ls", "/var/lib/dropleak-ssh")); len(runs) != 1 || len(w.cloud.Snapshots()) != 1 {
		t.Errorf("%d restarts, %d snapshots, want one of each", len(runs), len(w.cloud.Snapshots()))
	}
	w.audited("proposal", "approve", "snapshot", "restart", "outcome", "freed_working")
	w.secretsKept()
}
