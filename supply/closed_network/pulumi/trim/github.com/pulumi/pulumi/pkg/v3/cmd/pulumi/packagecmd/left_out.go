// Replaces: all
package packagecmd

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/spf13/cobra"
)

func NewPackageCmd() *cobra.Command { return leftout.Command("package") }
