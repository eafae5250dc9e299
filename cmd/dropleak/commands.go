package main

import "github.com/spf13/cobra"

// commands are all of dropleak's.
func commands(s streams) []*cobra.Command {
	return []*cobra.Command{demoCommand(s),
		scanCommand(s), exportCommand(s), importCommand(s), serveCommand(s), checkCommand(s), tokenCommand(s), auditCommand(s),
		healthCommand(s), findingsCommand(s), approveCommand(s), runsCommand(s), sourcesCommand(s), sshCommand(s), backupCommand(s), restoreCommand(s), manifestCommand(s),
		probeCommand(s), versionCommand(s)}
}
