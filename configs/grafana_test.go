package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// dashboard is the schema that the dashboard is held against: made by hand of
// what Grafana's documentation says of the fields it uses, and of what its
// published types, which another test asks, do not say: that panels do not overlap.
type dashboard struct {
	Title, UID, Timezone, Refresh string
	Tags                          []string
	SchemaVersion, Version        int
	Editable                      bool
	Time                          struct{ From, To string }
	Templating                    struct{ List []variable }
	Annotations                   struct{ List []json.RawMessage }
	Panels                        []panel
}

type variable struct {
	Name, Label, Type, Query string
	Datasource               *datasource
	Refresh                  int
	IncludeAll, Multi        bool
}

type datasource struct{ Type, UID string }

type panel struct {
	ID                       int
	Title, Description, Type string
	Datasource               datasource
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Thresholds *struct {
				Mode  string
				Steps []struct {
					Color string
					Value *float64
				}
			}
		}
		Overrides []json.RawMessage
	}
	Options map[string]any
	Targets []struct{ RefID, Expr, LegendFormat string }
}

// wrong says what Grafana would not take, or would show on top of each other.
func (d dashboard) wrong() (out []string) {
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 36 || d.Time.From == "" || d.Time.To == "" {
		say("title, uid, schemaVersion or time is missing: %+v", d)
	}
	ids := map[int]bool{}
	for i, p := range d.Panels {
		g := p.GridPos
		switch {
		case ids[p.ID] || p.ID <= 0:
			say("panel %q: id %d is not its own", p.Title, p.ID)
		case !slices.Contains([]string{"timeseries", "stat"}, p.Type):
			say("panel %q: type %q", p.Title, p.Type)
		case p.Title == "" || len(p.Targets) == 0 || p.Datasource != datasource{"prometheus", "${datasource}"}:
			say("panel %q lacks something", p.Title)
		case g.X < 0 || g.Y < 0 || g.W <= 0 || g.H <= 0 || g.X+g.W > 24:
			say("panel %q leaves the grid of 24", p.Title)
		}
		ids[p.ID] = true
		refs := map[string]bool{}
		for _, t := range p.Targets {
			if t.Expr == "" || t.RefID == "" || refs[t.RefID] {
				say("panel %q: target %+v", p.Title, t)
			}
			refs[t.RefID] = true
		}
		for _, q := range d.Panels[:i] {
			h := q.GridPos
			if g.X < h.X+h.W && h.X < g.X+g.W && g.Y < h.Y+h.H && h.Y < g.Y+g.H {
				say("panels %q and %q overlap", q.Title, p.Title)
			}
		}
	}
	return out
}

func loadDashboard(t *testing.T, _ string, text []byte) {
	var d dashboard
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		t.Fatal(err)
	}
	for _, w := range d.wrong() {
		t.Error(w)
	}
	if len(d.Panels) < 6 {
		t.Errorf("%d panels", len(d.Panels))
	}
}
