// Replaces: all
package insights

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/spf13/cobra"
)

func NewInsightsCmd() *cobra.Command { return leftout.Command("insights") }
