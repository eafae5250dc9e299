package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/store"
)

func auditCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "audit", GroupID: "operate", Short: "Verify and export the record of decisions and acts", Args: cobra.NoArgs, RunE: wantsOne}
	cmd.AddCommand(auditVerify(s), auditExport(s))
	return cmd
}

func auditVerify(s streams) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "verify --config FILE",
		Short: "Check the hash chain of the audit log",
		Long: `Verify recomputes every hash of the audit log and prints its head. Compare the
head with one that a scheduled report printed earlier: if that one is not in
the chain, entries before it were changed.

Exit status: 0 the chain is whole, 1 it is broken.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), s, path, func(st *store.Store) error {
				head, err := audit.Verify(cmd.Context(), st)
				if err != nil {
					return err
				}
				fmt.Fprintf(s.out, "the chain of %d entries is whole; its head is %s\n", head.Seq, head)
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func auditExport(s streams) *cobra.Command {
	var path, format string
	cmd := &cobra.Command{
		Use: "export --config FILE", Short: "Print the audit log, oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "csv" && format != "jsonl" {
				return usage(fmt.Errorf("--format %q is neither csv nor jsonl", format))
			}
			return withStore(cmd.Context(), s, path, func(st *store.Store) error {
				return audit.Export(cmd.Context(), st, s.out, audit.Format(format))
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&format, "format", "jsonl", "`csv|jsonl`")
	return cmd
}
