// Replaces: all
package neo

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/spf13/cobra"
)

func NewNeoCmd() *cobra.Command { return leftout.Command("neo") }
