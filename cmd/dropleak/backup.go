package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/store"
)

func backupCommand(s streams) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "backup --config FILE BACKUP",
		GroupID: "operate",
		Short:   "Write all that dropleak knows into one file",
		Long: `Backup writes the whole store into a new file, while the service goes on: state
as of one moment, samples as of one moment. The file is the same whether the
store is SQLite or PostgreSQL. It holds no secret that opens anything (tokens
are kept hashed), but names of droplets, workers and people. An existing file
is never written over.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" {
				return misused(cmd, errors.New("writes to a file and not to standard output: name one (./- for that name)"))
			}
			return withStore(cmd.Context(), s, path, func(st *store.Store) error {
				if _, err := os.Lstat(args[0]); err == nil { // before the work, which may be long
					return fmt.Errorf("%s exists, and a backup never writes over a file: name a new one", args[0])
				}
				if err := st.Backup(cmd.Context(), args[0]); err != nil {
					return err
				}
				fmt.Fprintf(s.talk, "wrote %s\n", args[0])
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func restoreCommand(s streams) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "restore --config FILE BACKUP",
		GroupID: "operate",
		Short:   "Fill an empty store from a backup",
		Long: `Restore fills the configured store, which must be empty, from a backup. The
service must be stopped. What was under way when the backup was made may have
happened since, so open runs end as unknown, for a person to look at, and orders
that no agent has carried out are void. The audit log goes on, and says who
restored what.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadBeside(s, path)
			if err != nil {
				return usage(err)
			}
			got, err := store.Restore(cmd.Context(), args[0], c.StoreDSN(), operator())
			if err != nil {
				return err
			}
			fmt.Fprintf(s.talk, "restored %s, made %s: %d open runs ended as unknown, %d open orders are void\n", args[0],
				got.Made.Format(time.RFC3339), got.Runs, got.Orders)
			if got.Runs > 0 {
				fmt.Fprintf(s.talk, "look at what they left: dropleak runs --all --config %s\n", path)
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}
