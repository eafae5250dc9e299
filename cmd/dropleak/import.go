package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/detector/formats"
	"github.com/dropleak/dropleak/detector/sample"
)

// importFlags is how an import was asked for.
type importFlags struct {
	config, worker, format, group, end string
	droplet                            int64
	ending                             time.Time
}

func importCommand(s streams) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:     "import --config FILE --droplet ID [--worker NAME] FILE|DIR|- ...",
		GroupID: "operate",
		Short:   "Read files of samples into history",
		Long: `Import reads the files that scan reads, told by their content, into the
history of a droplet. Without --droplet the rows must carry the ids of
droplets themselves, as those of export do. --worker renames the one worker of
the files. --end moves the newest sample to that time, for recordings that
count from zero.

Doing it again changes nothing: a sample is kept once a worker, process and
time. What an agent has told of the same worker is never mixed with it.

Exit status: 0 imported, 1 trouble, 2 wrong usage, or a file without a usable
row (the others are imported).`,
		Example: `  dropleak import --config dropleak.yaml --droplet 4711 --worker mail@web1 ps.log*
  dropleak import --config dropleak.yaml export.csv`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sources, o, err := f.sources(s, args)
			if err != nil {
				return usage(err)
			}
			return withAnyStore(cmd.Context(), s, f.config, func(st *store.Store) error {
				return importAll(cmd.Context(), s, st, f, sources, o)
			})
		},
	}
	configFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.Int64Var(&f.droplet, "droplet", 0, "the `ID` of the droplet the samples are of")
	flags.StringVar(&f.worker, "worker", "", "the worker's `NAME`, instead of the one in the files")
	flags.StringVar(&f.end, "end", "", "move the newest sample to `TIME`: RFC 3339 or seconds since 1970")
	flags.StringVar(&f.format, "format", "auto", "the `FORMAT` of the files: "+strings.Join(layouts, ", "))
	flags.StringVar(&f.group, "groupname", "", "`PATTERN` that finds (?P<worker>…) and (?P<pid>…) in process-exporter's groupname")
	completeWith(cmd, "format", layouts...)
	return cmd
}

func (f *importFlags) sources(s streams, args []string) ([]formats.Source, formats.Options, error) {
	group, err := checkReading(f.format, f.group)
	if err != nil {
		return nil, formats.Options{}, err
	}
	if err := readMoment("end", f.end, &f.ending); err != nil {
		return nil, formats.Options{}, err
	}
	sources, err := expand(args, s.in, layoutOf(f.format))
	return sources, formats.Options{Groupname: group}, err
}

// importAll imports source by source; one that cannot be used does not stop
// the others.
func importAll(ctx context.Context, s streams, st *store.Store, f importFlags, sources []formats.Source, o formats.Options) error {
	h := history.New(st, history.Options{})
	bad := false
	for _, source := range sources {
		reading, err := source.Read(o)
		for _, n := range reading.Notes {
			fmt.Fprintln(s.talk, noteLine(source.Path, n))
		}
		if err == nil {
			err = f.place(&reading)
		}
		if err != nil {
			bad = true
			fmt.Fprintf(s.talk, "dropleak: %s: %v\n", source.Path, err)
			continue
		}
		if err := write(ctx, h, reading); err != nil {
			return fmt.Errorf("%s: %w", source.Path, err)
		}
		fmt.Fprintf(s.out, "%s: %s\n", source.Path, imported(reading))
	}
	if bad {
		return exitError{code: 2}
	}
	return nil
}

// place puts a reading where the flags say, and refuses what history cannot
// hold.
func (f importFlags) place(r *formats.Reading) error {
	names := map[string]bool{}
	var newest time.Time
	for _, p := range r.Processes {
		names[p.Worker] = true
		newest = later(newest, p.At)
	}
	for _, d := range r.Droplets {
		newest = later(newest, d.At)
	}
	if f.worker != "" && len(names) > 1 {
		return fmt.Errorf("--worker renames one worker, and there are %d", len(names))
	}
	shift := time.Duration(0)
	if !f.ending.IsZero() {
		shift = f.ending.Sub(newest)
	}
	for i := range r.Processes {
		p := &r.Processes[i]
		if err := f.placeAt(&p.Droplet, &p.At, shift); err != nil {
			return err
		}
		if !p.Start.IsZero() {
			p.Start = p.Start.Add(shift)
		}
		if f.worker != "" {
			p.Worker = f.worker
		}
	}
	for i := range r.Droplets {
		if err := f.placeAt(&r.Droplets[i].Droplet, &r.Droplets[i].At, shift); err != nil {
			return err
		}
	}
	return nil
}

var idOfDroplet = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

// early is a time that no sample of a droplet has; files that count from zero
// lie before it.
var early = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (f importFlags) placeAt(droplet *string, at *time.Time, shift time.Duration) error {
	if f.droplet > 0 {
		*droplet = strconv.FormatInt(f.droplet, 10)
	}
	if !idOfDroplet.MatchString(*droplet) {
		return errors.New("the rows name no droplet by its id; say --droplet ID")
	}
	if *at = at.Add(shift); at.Before(early) {
		return fmt.Errorf("the samples are of %s; --end TIME says when they ended", at.Format("2006-01-02"))
	}
	if at.After(time.Now().Add(10 * time.Minute)) {
		return fmt.Errorf("the samples reach to %s, which is to come", at.Format(time.RFC3339))
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func imported(r formats.Reading) string {
	names := map[string]bool{}
	for _, p := range r.Processes {
		names[p.Droplet+" "+p.Worker] = true
	}
	return fmt.Sprintf("%d readings of %d workers, %d of droplets", len(r.Processes), len(names), len(r.Droplets))
}

// atATime bounds the series points of one write.
const atATime = 50_000

// write stores a reading pass by pass, many passes at a time.
func write(ctx context.Context, h *history.History, r formats.Reading) error {
	slots := map[string]*sample.Slots{} // by droplet: each remembers one pass
	b := batch{by: map[string]*sample.Series{}}
	for _, p := range passes(r) {
		id := dropletIn(p)
		if slots[id] == nil {
			slots[id] = &sample.Slots{}
		}
		slots[id].Assign(&p)
		b.add(sample.Encode(p))
		if b.points >= atATime {
			if err := b.flush(ctx, h); err != nil {
				return err
			}
		}
	}
	return b.flush(ctx, h)
}

// dropletIn is the droplet a pass is of.
func dropletIn(p sample.Pass) string {
	if p.Droplet != nil {
		return p.Droplet.Droplet
	}
	return p.Processes[0].Droplet
}

// passes groups a reading by droplet and time, ascending. Of two readings of
// one process at one time the last stands.
func passes(r formats.Reading) []sample.Pass {
	type key struct {
		droplet string
		at      int64
	}
	by := map[key]*sample.Pass{}
	get := func(droplet string, at time.Time) *sample.Pass {
		k := key{droplet, at.UnixMilli()}
		if by[k] == nil {
			by[k] = &sample.Pass{}
		}
		return by[k]
	}
	for _, p := range r.Processes {
		pass := get(p.Droplet, p.At)
		same := slices.IndexFunc(pass.Processes, func(o sample.Process) bool {
			return o.Worker == p.Worker && o.PID == p.PID && o.Slot == p.Slot
		})
		if same >= 0 {
			pass.Processes[same] = p
		} else {
			pass.Processes = append(pass.Processes, p)
		}
	}
	for _, d := range r.Droplets {
		get(d.Droplet, d.At).Droplet = &d
	}
	out := make([]sample.Pass, 0, len(by))
	for _, p := range by {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b sample.Pass) int {
		x, _ := a.At()
		y, _ := b.At()
		return x.Compare(y)
	})
	return out
}

// batch collects the points of series until they are written.
type batch struct {
	by     map[string]*sample.Series
	points int
}

func (b *batch) add(series []sample.Series) {
	for _, s := range series {
		s.Labels = append(s.Labels, sample.Label{Name: history.LabelSource, Value: history.SourceImport})
		slices.SortFunc(s.Labels, func(x, y sample.Label) int { return strings.Compare(x.Name, y.Name) })
		key := s.Key()
		if b.by[key] == nil {
			b.by[key] = &sample.Series{Labels: s.Labels}
		}
		b.by[key].Points = append(b.by[key].Points, s.Points...)
		b.points += len(s.Points)
	}
}

func (b *batch) flush(ctx context.Context, h *history.History) error {
	if b.points == 0 {
		return nil
	}
	all := make([]sample.Series, 0, len(b.by))
	for _, s := range b.by {
		all = append(all, *s)
	}
	b.by, b.points = map[string]*sample.Series{}, 0
	return h.Write(ctx, all)
}
