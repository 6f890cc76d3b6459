// Package leftout answers for the commands and drivers that the CLI of a closed network is compiled without.
package leftout

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Error says that something is not part of this build.
func Error(what string) error {
	return fmt.Errorf("%s was left out when this CLI was compiled for a network without downloads "+
		"(supply/README.md); the official CLI has it", what)
}

// Command stands where a command was left out: it is not listed, and whatever it is called with, it says so.
func Command(name string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return Error("`" + cmd.CommandPath() + "`")
		},
	}
}
