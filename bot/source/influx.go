package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/doclient"
)

// InfluxRange is what stands in a query for the time that is asked for.
const InfluxRange = "$range"

// DefaultInfluxQueries are for what the server's collectd listener writes, and
// for telegraf's procstat and mem.
func DefaultInfluxQueries() []string {
	return []string{
		`SELECT "value" FROM "processes_value" WHERE "type" = 'ps_rss' AND $range GROUP BY *`,
		`SELECT "value" FROM "processes_user", "processes_syst" WHERE "type" = 'ps_cputime' AND $range GROUP BY *`,
		`SELECT "value" FROM "memory_value" WHERE "type" = 'memory' AND $range GROUP BY *`,
		`SELECT "memory_rss", "memory_swap", "cpu_time_user", "cpu_time_system", "created_at" FROM "procstat" WHERE $range GROUP BY *`,
		`SELECT "available", "total", "slab", "shared" FROM "mem" WHERE $range GROUP BY "host"`,
	}
}

// InfluxOptions are what an InfluxDB is read with.
type InfluxOptions struct {
	Name        string // of the source: its cursor's
	URL         string // without /query
	Client      *http.Client
	Database    string        // default "collectd"
	Queries     []string      // InfluxQL with [InfluxRange]; default [DefaultInfluxQueries]
	Backfill    time.Duration // how far back the first pull goes; default 7 days
	WorkerTags  []string      // that name the worker, first found wins; default those of telegraf's procstat
	DropletTags []string      // that name the droplet, before droplet, droplet_id and host
	Cursors     Cursors
}

// Influx reads an InfluxDB 1.x over its HTTP API, only what is newer than what
// was read.
type Influx struct {
	queried
	o     InfluxOptions
	query string // the address
}

// NewInflux returns a reader of the server.
func NewInflux(o InfluxOptions) (*Influx, error) {
	if o.Database == "" {
		o.Database = "collectd"
	}
	if len(o.WorkerTags) == 0 {
		o.WorkerTags = []string{"worker", "celery_worker", "systemd_unit", "supervisor_unit", "pattern", "process_name", "exe"}
	}
	o.DropletTags = append(o.DropletTags[:len(o.DropletTags):len(o.DropletTags)], "droplet", "droplet_id", "host")
	for _, q := range o.Queries {
		if !strings.Contains(q, InfluxRange) {
			return nil, fmt.Errorf("source %s: query %s has no %s", o.Name, q, InfluxRange)
		}
	}
	at, err := url.JoinPath(o.URL, "query")
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", o.Name, err)
	}
	i := &Influx{o: o, query: at}
	i.queried = newQueried("influxdb/"+o.Name, o.URL+"\x00"+o.Database, o.Queries, DefaultInfluxQueries(), o.Backfill, o.Cursors, i.ask)
	return i, nil
}

// ask asks one query of a span. It only reads: the server lets a GET do
// nothing else.
func (i *Influx) ask(ctx context.Context, query string, s doclient.Span) ([]sample.Series, error) {
	within := fmt.Sprintf("time >= %dms AND time <= %dms", s.From.UnixMilli(), s.To.UnixMilli())
	form := url.Values{"db": {i.o.Database}, "epoch": {"ms"}, "chunked": {"true"}, "q": {strings.ReplaceAll(query, InfluxRange, within)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.query+"?"+form.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := i.o.Client.Do(req)
	if err != nil {
		return nil, plainly(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, influxRefusal(resp)
	}
	rows, err := readInflux(resp.Body)
	if err != nil {
		return nil, err
	}
	return i.series(rows), nil
}

// influxRefusal says what a server answered instead of samples.
func influxRefusal(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return err
	}
	var said struct{ Error string }
	if json.Unmarshal(text, &said) != nil || said.Error == "" {
		return fmt.Errorf("the server said %s: is this an InfluxDB 1.x?", resp.Status)
	}
	return fmt.Errorf("the server said %s: %s", resp.Status, said.Error)
}

// influxRow is one series of an answer, or a part of one. The values are a
// moment in milliseconds and then one of each further column.
type influxRow struct {
	Name    string            `json:"name"`
	Tags    map[string]string `json:"tags"`
	Columns []string          `json:"columns"`
	Values  [][]any           `json:"values"`
}

// influxAnswer is one chunk of an answer.
type influxAnswer struct {
	Results []struct {
		Series  []influxRow `json:"series"`
		Error   string      `json:"error"`
		Partial bool        `json:"partial"` // more follows
	} `json:"results"`
	Error string `json:"error"`
}

// readInflux reads the chunks of an answer to its end.
func readInflux(body io.Reader) (rows []influxRow, err error) {
	dec := json.NewDecoder(body)
	more := true
	for n := 0; ; n++ {
		var a influxAnswer
		err := dec.Decode(&a)
		switch {
		case errors.Is(err, io.EOF) && n > 0 && !more:
			return rows, nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("the answer broke off")
		case err != nil:
			return nil, fmt.Errorf("the answer is none of InfluxDB 1.x: %w", err)
		case a.Error != "":
			return nil, errors.New(a.Error)
		}
		more = false
		for _, r := range a.Results {
			if r.Error != "" {
				return nil, errors.New(r.Error)
			}
			rows, more = append(rows, r.Series...), more || r.Partial
		}
	}
}

// at is the moment of a row's values; false where they have none.
func (r influxRow) at(values []any) (time.Time, bool) {
	if len(values) == 0 || len(values) > len(r.Columns) || r.Columns[0] != "time" {
		return time.Time{}, false
	}
	ms, ok := values[0].(float64)
	if !ok || ms <= 0 || ms > 1e15 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(ms)), true
}

// tag is the first of the tags that is there.
func (r influxRow) tag(names ...string) string {
	for _, name := range names {
		if v := r.Tags[name]; v != "" {
			return v
		}
	}
	return ""
}

// pid is what the tag of that name says, "0" where there is none.
func (r influxRow) pid() string {
	if n, err := strconv.ParseInt(r.Tags["pid"], 10, 32); err == nil && n > 0 {
		return r.Tags["pid"]
	}
	return "0"
}
