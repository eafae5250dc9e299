package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// openers are all commands that open the store, and how each exits that finds
// one it cannot work with.
var openers = map[string]int{
	"serve": 2, "findings": 1, "findings mute --as U0ANNA --for 1h --yes f-live": 1, "runs": 1, "sources": 1, "approve --as U0ANNA --yes r-live": 1,
	"token create --droplet 1 --name a": 1, "token list": 1, "token revoke t": 1, "audit verify": 1, "audit export": 1,
	"export": 1, "import samples.csv": 1, "backup new.bak": 1, "restore made.bak": 1,
}

// refused runs every command on the desk's store, which has to refuse.
func (d *desk) refused(want string) {
	d.t.Helper()
	d.t.Setenv("DIGITALOCEAN_ACCESS_TOKEN", "r")
	d.t.Setenv("DIGITALOCEAN_EXECUTOR_TOKEN", "x")
	d.t.Setenv("SLACK_BOT_TOKEN", "xoxb-1")
	d.t.Setenv("SLACK_APP_TOKEN", "xapp-1")
	for line, code := range openers {
		args := strings.Fields(line)
		for i, a := range args { // files lie at the desk
			if filepath.Ext(a) != "" {
				args[i] = filepath.Join(d.dir, a)
			}
		}
		d.run(code, args[0], args[1:]...)
		if said := d.said + d.printed; !strings.Contains(said, want) {
			d.t.Errorf("dropleak %s does not say %q:\n%s", line, want, said)
		}
	}
}

func (d *desk) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// Whoever rolls an upgrade back at night is told by every command, and by the
// service, that the store was made by the newer one.
func TestNewerStoreIsRefused(t *testing.T) {
	for _, file := range []string{"state.db", "history.db"} {
		t.Run(file, func(t *testing.T) {
			d := newDesk(t, "")
			if err := d.fill().Close(); err != nil {
				t.Fatal(err)
			}
			d.run(0, "backup", filepath.Join(d.dir, "made.bak"))
			d.write("samples.csv", "time,droplet,worker,rss\n1700000000,1,w,5\n")
			db, err := sql.Open("sqlite", filepath.Join(d.dir, "data", file))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), "insert into dropleak_schema (version_id, is_applied) values (9999, 1)"); err != nil {
				t.Fatal(err)
			}
			d.refused("made by a newer dropleak (tables 9999, here 51): use that version again, or restore a backup of this one")
			if _, err := os.Stat(filepath.Join(d.dir, "new.bak")); err == nil {
				t.Error("a backup was written of what this version does not know")
			}
		})
	}
}

// A store that has lost its state is not begun anew beside its samples.
func TestStoreWithoutItsState(t *testing.T) {
	d := newDesk(t, "")
	if err := d.fill().Close(); err != nil {
		t.Fatal(err)
	}
	d.run(0, "backup", filepath.Join(d.dir, "made.bak"))
	d.write("samples.csv", "time,droplet,worker,rss\n1700000000,1,w,5\n")
	state := filepath.Join(d.dir, "data", "state.db")
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	d.refused("history.db is there and state.db is not, or holds nothing: tokens, runs and the audit log are lost; put state.db back")
	if _, err := os.Stat(state); err == nil {
		t.Error("a new state.db was made")
	}
	if err := os.Rename(filepath.Join(d.dir, "data", "history.db"), filepath.Join(d.dir, "old.db")); err != nil {
		t.Fatal(err)
	}
	d.run(0, "restore", filepath.Join(d.dir, "made.bak")) // as the refusal says
}
