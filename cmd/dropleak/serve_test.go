package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// program runs dropleak with the town's environment and returns its exit code
// and what it said.
func (w *town) program(args ...string) (code int, said string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), w.dropleak, args...)
	cmd.Env = w.env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// configured returns the town's configuration with some of its text replaced,
// as a file of its own.
func (w *town) configured(name string, oldnew ...string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.dir, name+".yaml")
	w.write(path, strings.NewReplacer(oldnew...).Replace(string(text)))
	return path
}

func wants(t testing.TB, what string, code, want int, said string, words ...string) {
	t.Helper()
	if code != want {
		t.Errorf("%s: exit %d, want %d\n%s", what, code, want, said)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("%s: %q is not said:\n%s", what, word, said)
		}
	}
}

func TestServeRefuses(t *testing.T) {
	w := newTown(t, 11)
	bad := w.configured("bad", "time_scale:", "colour: blue\ntime_scale:", `scan: "@every 10m"`, `scan: "every now and then"`)
	code, said := w.program("serve", "--config", bad)
	wants(t, "a bad configuration", code, 2, said, "bad.yaml:", "colour", "every now and then", "2 problems")
	code, said = w.program("serve", "--config", filepath.Join(w.dir, "nowhere.yaml"))
	wants(t, "no configuration", code, 2, said, "nowhere.yaml")

	taken, err := net.Listen("tcp", w.listen)
	if err != nil {
		t.Fatal(err)
	}
	code, said = w.program("serve", "--config", w.config)
	wants(t, "a taken port", code, 1, said, w.listen, "address already in use")
	taken.Close()
}

// TestServeIsStoppedWhileItStarts: a SIGTERM that comes while Slack is asked
// who we are is no failure, or the manager would call it one.
func TestServeIsStoppedWhileItStarts(t *testing.T) {
	w := newTown(t, 15)
	asked := make(chan struct{}, 8)
	mute := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server sees its client go only once the body was read
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer mute.Close()
	cmd := exec.CommandContext(t.Context(), w.dropleak, "serve", "--config", w.configured("mute", w.slack.APIURL(), mute.URL+"/api/"))
	cmd.Env = w.env
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-asked:
	case <-time.After(testbed.Patience):
		t.Error("Slack is not asked")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	wants(t, "SIGTERM during the start", cmd.ProcessState.ExitCode(), 0, said.String(), "has stopped before it served")
	if err != nil {
		t.Error(err)
	}
}

// TestServe is one service over its life: it is fed, watched, shared, drained
// and leaves no secret behind.
func TestServe(t *testing.T) {
	w := newTown(t, 12)
	prom, metrics := testbed.Prometheus(t), freePort(t)
	w.config = w.configured("full", `metrics_listen: ""`, "metrics_listen: "+metrics+"\nlog: {level: debug}\nhistory: {url: \""+prom.URL+"\"}")
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}})
	w.cloud.AddDroplet(dosim.Droplet{ID: 4712, Name: "bare-1", Tags: []string{"dropleak"}, NoAgent: true})
	w.serve()

	code, said := w.program("serve", "--config", w.configured("second", w.listen, freePort(t), metrics, freePort(t)))
	wants(t, "a second service on the same data", code, 2, said, fmt.Sprintf("process %d", w.service.PID()))
	secret := w.tokens(prom)
	w.readiness()
	scrape(t, metrics)

	if err := syscall.Kill(w.service.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.service.Exited():
	case <-time.After(testbed.Patience):
		t.Fatalf("it does not drain:\n%s", w.service.Log())
	}
	if code := w.service.ExitCode(); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, w.service.Log())
	}
	w.secretsKept(secret)
}

// tokens goes through the life of an agent's token and returns it.
func (w *town) tokens(prom *testbed.PrometheusServer) string {
	w.t.Helper()
	secret := w.run("token", "create", "--config", w.config, "--droplet", fmt.Sprint(dropletID), "--name", "web-1's")
	hub, err := history.NewRemote("http://"+w.listen, &http.Client{Transport: bearer(secret), Timeout: testbed.Patience})
	if err != nil {
		w.t.Fatal(err)
	}
	at := time.Now().Truncate(time.Second)
	available := sample.Encode(sample.Pass{Droplet: &sample.Droplet{At: at, Droplet: "9", Available: 123 << 20, Total: 1 << 30, Boot: at.Add(-time.Hour)}})
	if err := hub.Write(w.t.Context(), available); err != nil {
		w.t.Fatalf("the hub does not take a good token: %v", err)
	}
	// The token says whose samples they are, and history.url where they are kept.
	kept, err := history.NewRemote(prom.URL, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := kept.Select(w.t.Context(), []history.Matcher{history.Is(sample.MetricName, "dropleak_droplet_memory_available_bytes"),
		history.Is("droplet", fmt.Sprint(dropletID)), history.Is(history.LabelSource, "")}, at.Add(-time.Minute), at.Add(time.Minute))
	if err != nil || len(got) != 1 || got[0].Points[0].V != 123<<20 {
		w.t.Errorf("Prometheus holds %+v, %v", got, err)
	}
	var list []tokenJSON
	if err := json.Unmarshal([]byte(w.run("token", "list", "--json", "--config", w.config)), &list); err != nil || len(list) != 1 {
		w.t.Fatalf("%d tokens, %v", len(list), err)
	}
	if list[0].Name != "web-1's" || list[0].Seen == nil || list[0].Revoked != nil || list[0].Droplet != fmt.Sprint(dropletID) {
		w.t.Errorf("the list says %+v", list[0])
	}
	w.run("token", "revoke", "--config", w.config, list[0].ID)
	if table := w.run("token", "list", "--config", w.config); !strings.Contains(table, "revoked") || strings.Contains(table, secret) {
		w.t.Errorf("the table says\n%s", table)
	}
	testbed.Eventually(w.t, time.Minute, func() error {
		if err := hub.Write(w.t.Context(), available); err == nil || !strings.Contains(err.Error(), "401") {
			return fmt.Errorf("a revoked token gives %v, want 401", err)
		}
		return nil
	})
	code, said := w.program("token", "revoke", "--config", w.config, "nobody")
	wants(w.t, "revoking what is not there", code, 1, said, "dropleak: revoke token nobody: no such token")
	code, said = w.program("token", "create", "--config", w.config, "--name", "x")
	wants(w.t, "a token for nobody", code, 2, said, "--droplet", "--tag")
	return secret
}

// bearer sends a token, and the identity of a droplet, along.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	r.Header.Set(order.HeaderDroplet, fmt.Sprint(dropletID))
	r.Header.Set(order.HeaderMachine, "m-1")
	r.Header.Set(order.HeaderBoot, "b-1")
	return http.DefaultTransport.RoundTrip(r)
}

// readiness checks /readyz: Slack or DigitalOcean being away shows in its
// body and is no reason for 503.
func (w *town) readiness() {
	w.t.Helper()
	ask := func() (int, map[string]map[string]any) {
		resp, err := http.Get("http://" + w.listen + "/readyz")
		if err != nil {
			w.t.Fatal(err)
		}
		defer resp.Body.Close()
		var raw map[string]json.RawMessage
		if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil {
			w.t.Fatal(err)
		}
		body := map[string]map[string]any{}
		for _, k := range []string{"slack", "digitalocean"} {
			var v map[string]any
			if err := json.Unmarshal(raw[k], &v); err != nil {
				w.t.Fatalf("%s: %v", k, err)
			}
			body[k] = v
		}
		return resp.StatusCode, body
	}
	testbed.Eventually(w.t, testbed.Patience, func() error {
		_, body := ask()
		if do := body["digitalocean"]; do["droplets"] != 2.0 || fmt.Sprint(do["without_metrics"]) != "[4712]" {
			return fmt.Errorf("readyz says %v", do)
		}
		return nil
	})
	defer w.cloud.Inject(dosim.Fault{Status: http.StatusForbidden})()
	testbed.Eventually(w.t, testbed.Patience, func() error {
		code, body := ask()
		if code != http.StatusOK {
			w.t.Fatalf("%d while DigitalOcean is away", code)
		}
		if said, _ := body["digitalocean"]["error"].(string); !strings.Contains(said, "403") {
			return fmt.Errorf("readyz says %v", body["digitalocean"])
		}
		return nil
	})
}

// scrape reads /metrics as Prometheus does.
func scrape(t *testing.T, addr string) {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if d := families["dropleak_digitalocean_droplets"]; d == nil || d.Metric[0].Gauge.GetValue() != 2 {
		t.Errorf("dropleak_digitalocean_droplets is %v", d)
	}
	for _, name := range []string{"dropleak_start_time_seconds", "dropleak_last_scan_timestamp_seconds", "dropleak_workers", "go_goroutines", "process_resident_memory_bytes"} {
		if families[name] == nil {
			t.Errorf("no %s", name)
		}
	}
}

// secretsKept searches logs, Slack and the store for secrets, and finds none.
func (w *town) secretsKept(more ...string) {
	w.t.Helper()
	places := map[string][]byte{"the service's log": []byte(w.service.Log()), "the store": w.stored()}
	if w.agent != nil {
		places["the agent's log"] = []byte(w.agent.Log())
		token, err := os.ReadFile(filepath.Join(w.dir, "agent.token"))
		if err != nil {
			w.t.Fatal(err)
		}
		more = append(more, string(token))
	}
	for _, m := range append(w.slack.Messages(channel), append(w.slack.Ephemerals(anna), w.slack.Ephemerals(carla)...)...) {
		text, err := json.Marshal(m)
		if err != nil {
			w.t.Fatal(err)
		}
		places["Slack"] = append(places["Slack"], text...)
	}
	err := filepath.WalkDir(filepath.Join(w.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			places[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	for place, text := range places {
		for _, secret := range append(more, "dop_v1_", "xoxb-", "xapp-") {
			if i := bytes.Index(text, []byte(secret)); i >= 0 {
				w.t.Errorf("%s holds the secret %s: …%q…", place, secret, text[max(i-60, 0):i])
			}
		}
	}
}

// stored is all that the store holds, be it SQLite or PostgreSQL.
func (w *town) stored() []byte {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "backup")
	w.run("backup", "--config", w.config, file)
	f, err := os.Open(file)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || !bytes.Contains(text, []byte(dropletName)) {
		w.t.Fatalf("the backup holds %d bytes, and nothing of %s: %v", len(text), dropletName, err)
	}
	return text
}

func TestCheck(t *testing.T) {
	w := newTown(t, 13)
	code, said := w.program("check", "--config", w.config)
	wants(t, "a good configuration", code, 0, said, "ok ")
	bad := w.configured("bad", "time_scale:", "colour: blue\ntime_scale:", "approvers: ["+anna, "approvers: [nobody")
	code, said = w.program("check", "--config", bad)
	wants(t, "two mistakes", code, 1, said, "colour", "nobody", "2 problems")
	code, said = w.program("check")
	wants(t, "no file", code, 2, said, "config")
	code, said = w.program("token", "create", "--config", w.config, "--droplet", "1")
	wants(t, "no name", code, 2, said, "name")
	code, said = w.program("token", "revoke", "--config", w.config)
	wants(t, "no id", code, 2, said)
	code, said = w.program("check", "--config", w.config, "further")
	wants(t, "too much", code, 2, said)
}

func TestCheckOnline(t *testing.T) {
	w := newTown(t, 14)
	w.cloud.AddDroplet(dosim.Droplet{ID: dropletID, Name: dropletName, Tags: []string{"dropleak"}})
	w.cloud.AddDroplet(dosim.Droplet{ID: 4712, Tags: []string{"dropleak"}, NoAgent: true})
	w.cloud.AddToken("dop_v1_narrow", "droplet:read", "tag:read")
	good := w.env
	tests := []struct {
		name, env, tag string
		code           int
		says           []string
	}{
		{"good", "", "dropleak", 0, []string{"ok    store: sqlite", "ok    DigitalOcean reader: 2 droplets tagged dropleak; 1 of them without the metrics agent", "ok    Slack bot token",
			"ok    Slack scopes: all 6", "ok    Slack sockets", "ok    Slack channel C0OPS", "ok    Slack upload", "ok    Slack approvers: 2 can approve"}},
		{"wrong DigitalOcean token", "DIGITALOCEAN_ACCESS_TOKEN=dop_v1_wrong", "dropleak", 1, []string{"FAIL  DigitalOcean reader", "401", "ok    Slack"}},
		{"missing scope", "DIGITALOCEAN_ACCESS_TOKEN=dop_v1_narrow", "dropleak", 1, []string{"FAIL  DigitalOcean reader", "403", "monitoring:read"}},
		{"empty tag", "", "elsewhere", 1, []string{"FAIL  DigitalOcean reader", "no droplet carries the tag elsewhere"}},
		{"wrong Slack token", "SLACK_BOT_TOKEN=xoxb-wrong", "dropleak", 1, []string{"FAIL  Slack", "invalid_auth", "Bot User OAuth Token", "ok    DigitalOcean reader"}},
		{"wrong app token", "SLACK_APP_TOKEN=xapp-wrong", "dropleak", 1, []string{"FAIL  Slack sockets", "invalid_auth", "connections:write", "ok    Slack channel"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.env = append(good[:len(good):len(good)], tt.env)
			if tt.env == "" {
				w.env = good
			}
			code, said := w.program("check", "--online", "--config", w.configured(tt.tag, "tag: dropleak", "tag: "+tt.tag))
			wants(t, tt.name, code, tt.code, said, tt.says...)
			for _, secret := range []string{"dop_v1_", "xoxb-", "xapp-"} {
				if strings.Contains(said, secret) {
					t.Errorf("%s is printed:\n%s", secret, said)
				}
			}
		})
	}
}
