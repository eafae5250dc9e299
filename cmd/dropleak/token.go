package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/configs"
)

// withStore runs fn on the configured store, which must be there, beside a
// service that holds it.
func withStore(ctx context.Context, s streams, path string, fn func(*store.Store) error) (err error) {
	return withConfig(ctx, s, path, func(_ configs.Config, st *store.Store) error { return fn(st) })
}

// withConfig is withStore for what needs the configuration too.
func withConfig(ctx context.Context, s streams, path string, fn func(configs.Config, *store.Store) error) (err error) {
	return onStore(ctx, s, path, store.Options{Beside: true, Existing: true}, fn)
}

// withAnyStore is withStore for what may begin a store: a token or samples
// can be there before the service is.
func withAnyStore(ctx context.Context, s streams, path string, fn func(*store.Store) error) (err error) {
	return onStore(ctx, s, path, store.Options{Beside: true}, func(_ configs.Config, st *store.Store) error { return fn(st) })
}

func onStore(ctx context.Context, s streams, path string, o store.Options, fn func(configs.Config, *store.Store) error) (err error) {
	c, err := loadBeside(s, path)
	if err != nil {
		return usage(err)
	}
	st, err := store.Open(ctx, c.StoreDSN(), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return fn(c, st)
}

func tokenCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "token", GroupID: "operate", Short: "Create, list and revoke the tokens of agents and senders", Args: cobra.NoArgs, RunE: wantsOne}
	cmd.AddCommand(tokenCreate(s), tokenList(s), tokenRevoke(s))
	return cmd
}

func tokenCreate(s streams) *cobra.Command {
	var path, tag, name string
	var droplet int64
	cmd := &cobra.Command{
		Use:   "create --config FILE (--droplet ID | --tag TAG) --name NAME",
		Short: "Create a token and print it, once",
		Long: `Create makes a token for the agent of one droplet (--droplet), or for a sender
of foreign metrics about the droplets of a tag (--tag). It is printed once and
stored hashed: put it into the agent's token file now. A sender's --name is what
its source is called: tokens of one name are one source, and when it falls
silent that is one finding.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := hub.Token{Name: name, Kind: hub.Agent, Droplet: strconv.FormatInt(droplet, 10)}
			switch {
			case cmd.Flags().Changed("droplet") == (tag != ""):
				return usage(errors.New("give either --droplet ID or --tag TAG"))
			case tag == "" && droplet <= 0:
				return usage(fmt.Errorf("--droplet %d is no droplet's id, such as 123456789", droplet))
			case strings.TrimSpace(name) == "":
				return usage(errors.New("--name is empty: give a name to know the token by"))
			}
			if tag != "" {
				t = hub.Token{Name: name, Kind: hub.Sender, Tag: tag}
			}
			return withAnyStore(cmd.Context(), s, path, func(st *store.Store) error {
				made, secret, err := hub.Create(cmd.Context(), st, t)
				if err != nil {
					return err
				}
				if err := auditToken(cmd.Context(), st, made.ID+" "+made.Name, "", string(made.Kind)+" "+made.Droplet+made.Tag); err != nil {
					// A token that the log does not know, and nobody holds, must not be good.
					return errors.Join(err, st.RevokeToken(cmd.Context(), made.ID, time.Now()))
				}
				fmt.Fprintln(s.out, secret)
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().Int64Var(&droplet, "droplet", 0, "the droplet's `ID`, for an agent")
	cmd.Flags().StringVar(&tag, "tag", "", "the `TAG` whose droplets a sender may speak of")
	cmd.Flags().StringVar(&name, "name", "", "a `NAME` to know it by, and of a sender its source")
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

// zoned is a time in the terminal's zone, which it names.
const zoned = time.DateTime + " MST"

// tokenJSON is a token in dropleak token list --json.
type tokenJSON struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Kind    hub.Kind   `json:"kind"`
	Droplet string     `json:"droplet"`
	Tag     string     `json:"tag"`
	Created time.Time  `json:"created"`
	Revoked *time.Time `json:"revoked"`
	Seen    *time.Time `json:"seen"`
	Ahead   *float64   `json:"ahead_seconds"` // of its newest sample before our clock, when it came
}

func tokenList(s streams) *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list --config FILE", Short: "List tokens; never their values", Args: cobra.NoArgs,
		Long: `List shows every token, never its value, with how the clock of who uses it
stands: a sender whose newest samples are more than 30 s off when they come is
warned of.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), s, path, func(st *store.Store) error {
				tokens, err := st.Tokens(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(s, tokensJSON(tokens))
				}
				return printTokens(s, tokens)
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func tokensJSON(tokens []hub.Token) []tokenJSON {
	out := []tokenJSON{}
	for _, t := range tokens {
		j := tokenJSON{ID: t.ID, Name: t.Name, Kind: t.Kind, Droplet: t.Droplet, Tag: t.Tag, Created: t.Created, Ahead: aheadSeconds(t)}
		if !t.Revoked.IsZero() {
			j.Revoked = &t.Revoked
		}
		if !t.Seen.At.IsZero() {
			j.Seen = &t.Seen.At
		}
		out = append(out, j)
	}
	return out
}

func printTokens(s streams, tokens []hub.Token) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tKIND\tFOR\tCREATED\tLAST SEEN\tCLOCK\tSTATE")
	for _, t := range tokens {
		state, seen := "good", "never"
		if !t.Revoked.IsZero() {
			state = "revoked " + t.Revoked.Local().Format(zoned)
		}
		if !t.Seen.At.IsZero() {
			seen = t.Seen.At.Local().Format(zoned)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, printable(t.Name), t.Kind, t.Droplet+t.Tag, t.Created.Local().Format(zoned), seen, clockText(t), state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, t := range tokens {
		warnClock(s, t)
	}
	return nil
}

func tokenRevoke(s streams) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "revoke --config FILE ID", Short: "Revoke a token at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), s, path, func(st *store.Store) error {
				if err := st.RevokeToken(cmd.Context(), args[0], time.Now()); err != nil {
					return err
				}
				if err := auditToken(cmd.Context(), st, args[0], "good", "revoked"); err != nil {
					return err
				}
				fmt.Fprintf(s.talk, "revoked %s\n", args[0])
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// auditToken writes down who made or revoked a token, never its value.
func auditToken(ctx context.Context, log audit.Log, subject, before, after string) error {
	_, err := log.AppendAudit(ctx, audit.Entry{At: time.Now(), Who: operator(), What: "token", Subject: subject, Before: before, After: after})
	return err
}

// operator names who runs this command, for the audit log.
func operator() string {
	u, err := user.Current()
	if err != nil {
		return "cli"
	}
	return "cli:" + u.Username
}
