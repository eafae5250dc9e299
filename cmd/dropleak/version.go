package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(s streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version [--json]",
		GroupID: "serve",
		Short:   "Print what this program was built from",
		Long: `Version prints the version of the module, the commit and the Go that this
program was built with. "dropleak --version" prints the same.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := built()
			if asJSON {
				return printJSON(s, b)
			}
			fmt.Fprintln(s.out, b)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// release is the version that the linker was told, for builds that cannot see
// the version control: go build -ldflags "-X main.release=v1.2.3".
var release string

// origin is what the program knows of how it was made, and dropleak version
// --json.
type origin struct {
	Version  string  `json:"version"`
	Commit   *string `json:"commit"`   // nil where it was built outside of version control
	Modified bool    `json:"modified"` // the commit's files were changed
	Go       string  `json:"go"`
	Platform string  `json:"platform"`
}

// String is the build in one line.
func (b origin) String() string {
	commit := "commit unknown"
	if b.Commit != nil {
		commit = "commit " + *b.Commit
	}
	if b.Modified {
		commit += ", changed since"
	}
	return fmt.Sprintf("dropleak %s (%s; %s, %s)", b.Version, commit, b.Go, b.Platform)
}

// built reads what the linker and the go command wrote into this program.
func built() origin {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return buildOf(info)
}

func buildOf(info *debug.BuildInfo) origin {
	b := origin{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "(unknown)"
	}
	for _, x := range info.Settings {
		switch x.Key {
		case "vcs.revision":
			b.Commit = &x.Value
		case "vcs.modified":
			b.Modified = x.Value == "true"
		}
	}
	return b
}

// version is what the build is called.
func version() string { return built().Version }
