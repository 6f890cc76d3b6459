// Replaces: all
package env

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/spf13/cobra"
)

func NewEnvCmd() *cobra.Command { return leftout.Command("env") }
