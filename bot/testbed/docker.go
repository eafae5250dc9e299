package testbed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// DockerEngine is a dockerd of the test's own, without a network of its own: containers take the host's.
type DockerEngine struct {
	*Process
	socket string
}

// dockerImage is what an image must have that borrows this machine's programs.
const dockerImage = `set -e
mkdir -p root/usr root/etc root/proc root/sys root/dev root/tmp root/run root/var root/root
for d in bin sbin lib lib64; do ln -s usr/$d root/$d; done
tar -C root -c . | docker -H "$1" import - bed:latest`

// Docker starts a dockerd that lives as long as the test, with the image bed:latest. It needs root.
func Docker(t testing.TB) *DockerEngine {
	t.Helper()
	dir := Folder(t)
	d := &DockerEngine{socket: filepath.Join(dir, "d.sock")}
	program(t, "docker")
	t.Cleanup(func() {
		// dockerd leaves the network namespace of its containers mounted.
		if err := syscall.Unmount(filepath.Join(dir, "exec", "netns", "default"), syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
			t.Error(err)
		}
	})
	d.Process = Start(t, "dockerd", dir, exec.Command(program(t, "dockerd"), "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "-H", d.host(), "--storage-driver", "vfs", "--iptables=false", "--ip6tables=false", "--bridge=none"))
	Eventually(t, 2*Patience, func() error { _, err := d.call("version"); return err })
	cmd := exec.Command("sh", "-c", dockerImage, "sh", d.host())
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("import an image: %v\n%s", err, said)
	}
	return d
}

func (d *DockerEngine) host() string { return "unix://" + d.socket }

func (d *DockerEngine) call(words ...string) (string, error) {
	said, err := exec.Command("docker", append([]string{"-H", d.host()}, words...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", strings.Join(words, " "), err, said)
	}
	return strings.TrimSpace(string(said)), nil
}

// Run runs docker with these words and returns what it says.
func (d *DockerEngine) Run(t testing.TB, words ...string) string {
	t.Helper()
	said, err := d.call(words...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// System is the image and, before it, what lends it this machine's programs: words of docker run.
func (d *DockerEngine) System() []string {
	return []string{"-v", "/usr:/usr:ro", "-v", "/etc:/etc:ro", "bed:latest"}
}

// Client is a script that stands in docker's place and asks this engine.
func (d *DockerEngine) Client() string {
	return "#!/bin/sh\nexec /usr/bin/docker -H " + d.host() + " \"$@\"\n"
}

// Compose is a script that stands in docker-compose's place and asks this engine.
func (d *DockerEngine) Compose() string {
	return "#!/bin/sh\nDOCKER_HOST=" + d.host() + " exec /usr/bin/docker-compose \"$@\"\n"
}

// ComposeFile is a project of one service of this name, which runs these words in a folder.
func (d *DockerEngine) ComposeFile(t testing.TB, dir, service string, env map[string]string, words []string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "version: \"2.4\"\nservices:\n  %s:\n    image: bed:latest\n    network_mode: host\n    working_dir: %s\n    stop_grace_period: 21s\n"+
		"    volumes: [\"/usr:/usr:ro\", \"/etc:/etc:ro\", \"%s:%[2]s\"]\n    environment:\n", service, dir, dir)
	for k, v := range env {
		fmt.Fprintf(&b, "      %s: %q\n", k, v)
	}
	fmt.Fprintf(&b, "    command: [\"%s\"]\n", strings.Join(words, `", "`))
	if err := os.WriteFile(filepath.Join(dir, "docker-compose.yml"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
