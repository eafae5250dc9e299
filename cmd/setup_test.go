package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// debian stands for the programs that .ci/setup calls, in a folder that has a
// list of installed packages and takes down what systemctl is asked.
var debian = map[string]string{
	"id":         `echo 0`,
	"dpkg-query": `for p; do :; done; grep -qx "$p" "$BED/installed" && echo installed`,
	"apt-get": `[ "$1" = install ] || exit 0
cat "$SETUP_ROOT/usr/sbin/policy-rc.d" >"$BED/policy"
shift; for p; do case $p in -*) ;; *) echo "$p" >>"$BED/installed" ;; esac; done
[ ! -e "$BED/cut" ] || kill -KILL $(ps -o ppid= -p $PPID) $PPID`,
	"systemctl": `echo "$*" >>"$BED/asked"`,
	"npm":       `:`,
	"go":        `:`,
}

// TestSetupCutOff: where .ci/setup is killed between the installation and the
// boot order, its next run takes out of it what it installed, and nothing that
// was there before.
func TestSetupCutOff(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range debian {
		put("bin/"+name, "#!/bin/bash\n"+text+"\n", 0o755)
	}
	put("installed", "postgresql\nsudo\n", 0o644)
	put("root/usr/sbin/.keep", "", 0o644)
	setup := func() error {
		cmd := exec.Command("bash", "../.ci/setup")
		cmd.Env = append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"), "BED="+dir, "SETUP_ROOT="+dir+"/root",
			"XDG_CACHE_HOME="+dir+"/cache", "DROPLEAK_SLACK_RENDER=")
		cmd.Stderr = t.Output()
		return cmd.Run()
	}
	said := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(text)
	}
	asked := func() []string { return strings.Split(strings.TrimSpace(said("asked")), "\n") }
	disabled := func(service string) bool {
		return slices.ContainsFunc(asked(), func(l string) bool { return strings.HasPrefix(l, "disable ") && strings.HasSuffix(l, " "+service) })
	}

	put("cut", "", 0o644)
	if err := setup(); err == nil || disabled("redis-server") {
		t.Fatalf("setup was not cut off: %v, %q", err, asked())
	}
	if policy := said("root/usr/sbin/policy-rc.d"); policy != said("policy") || !strings.HasSuffix(policy, "exit 101\n") {
		t.Errorf("service starts were not denied, or setup had time to tidy up: %q", policy)
	}
	if err := os.Remove(filepath.Join(dir, "cut")); err != nil {
		t.Fatal(err)
	}
	put("installed", strings.Replace(said("installed"), "collectd-core\n", "", 1), 0o644) // the rest is installed now
	if err := setup(); err != nil || !disabled("redis-server") || !disabled("docker.socket") || !disabled("collectd") || disabled("postgresql") {
		t.Errorf("after it was cut off: %v, %q", err, asked())
	}
	if _, err := os.Stat(filepath.Join(dir, "root/usr/sbin/policy-rc.d")); err == nil {
		t.Error("service starts are denied for good")
	}
	before := len(asked())
	if err := setup(); err != nil || len(asked()) != before {
		t.Errorf("with everything there: %v, %q", err, asked()[before:])
	}
}
