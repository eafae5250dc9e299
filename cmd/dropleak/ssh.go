package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/dropleak/dropleak/bot/shell"
)

func sshCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ssh",
		GroupID: "operate",
		Short:   "Print what a droplet without an agent is looked at with",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "print-command",
		Short: "Print the script that a key of dropleak's is bound to",
		Long: `Print-command prints the shell script at the other end of dropleak's SSH
connection. Install it on a droplet, as root's, and bind the key to it in
authorized_keys:

  restrict,command="/usr/local/sbin/dropleak-ssh" ssh-ed25519 AAAA… dropleak

docs/sources/ssh.md has the other ways, and what they show.`,
		Example: `  dropleak ssh print-command > dropleak-ssh`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(s.out, shell.Script)
			return err
		},
	})
	return cmd
}
