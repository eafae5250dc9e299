package testbed

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestRedisEndsWithItsTest(t *testing.T) {
	var server *RedisServer
	t.Run("running", func(t *testing.T) {
		server = Redis(t)
		for _, command := range []string{"LPUSH q one", "LPUSH q two"} {
			if _, err := redisCommand(server.Addr, command); err != nil {
				t.Fatal(err)
			}
		}
		if n := server.Pending(t, "q"); n != 2 {
			t.Errorf("%d messages wait, want 2", n)
		}
	})
	if err := ping(server.Addr); err == nil {
		t.Error("redis still answers after its test")
	}
}

func TestDatabasesAreEmptyAndApart(t *testing.T) {
	first, second := Database(t), Database(t)
	for _, dsn := range []string{first, second} {
		if err := execute(dsn, "create table same_name (id bigint)"); err != nil {
			t.Errorf("in %s: %v", dsn, err)
		}
	}
	db, err := sql.Open("pgx", first)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var commit string
	if err := db.QueryRow("show synchronous_commit").Scan(&commit); err != nil || commit != "on" {
		t.Errorf("synchronous_commit is %q (%v), want on", commit, err)
	}
}

func TestDatabaseGoesWithItsTest(t *testing.T) {
	var dsn string
	t.Run("using", func(t *testing.T) { dsn = Database(t) })
	if err := execute(dsn, "select 1"); err == nil {
		t.Errorf("%s is still there", dsn)
	}
}

func TestPrometheusScrapes(t *testing.T) {
	node := NodeExporter(t)
	process := ProcessExporter(t, "process_names: [{name: '{{.Comm}}', cmdline: ['.+']}]")
	server := Prometheus(t, node.Addr, process.Addr)
	for _, query := range []string{
		fmt.Sprintf("node_memory_MemTotal_bytes{instance=%q}", node.Addr),
		fmt.Sprintf("namedprocess_namegroup_num_procs{instance=%q,groupname='prometheus'}", process.Addr),
	} {
		Eventually(t, Patience, func() error { return hasResult(server.URL, query) })
	}
}

func hasResult(server, query string) error {
	response, err := http.Get(server + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if len(answer.Data.Result) == 0 {
		return fmt.Errorf("no result for %s: %s", query, body)
	}
	return nil
}

func TestSupervisorRestartsItsPrograms(t *testing.T) {
	s := Supervisor(t,
		Program{Name: "worker", Command: []string{"bash", "-c", "echo 100% of $GREETING; exec sleep 1000"}, Env: map[string]string{"GREETING": "a 'b' 5%"}},
		Program{Name: "idle", Command: []string{"sleep", "1000"}, Options: map[string]string{"autostart": "false"}})
	if said, want := s.ProgramLog("worker"), "100% of a 'b' 5%\n"; said != want {
		t.Errorf("the worker said %q, want %q", said, want)
	}
	old := s.ProgramPID(t, "worker")
	if said, err := s.Control("restart", "worker"); err != nil {
		t.Fatalf("restart: %v: %s", err, said)
	}
	if now := s.ProgramPID(t, "worker"); now == old {
		t.Errorf("the worker kept pid %d through a restart", old)
	}
	if status, _ := s.Control("status", "idle"); !strings.Contains(status, "STOPPED") {
		t.Errorf("idle is %q, want STOPPED", status)
	}
}

func TestSupervisorTakesItsProgramsAlong(t *testing.T) {
	var worker life
	t.Run("running", func(t *testing.T) {
		s := Supervisor(t, Program{Name: "worker", Command: []string{"sleep", "1000"}})
		worker, _ = lifeOf(s.ProgramPID(t, "worker"))
	})
	if now, alive := lifeOf(worker.pid); alive && now == worker {
		t.Error("the program outlived its supervisor")
	}
}
