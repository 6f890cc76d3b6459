// Replaces: all
package markdown

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/spf13/cobra"
)

func NewGenMarkdownCmd(*cobra.Command) *cobra.Command { return leftout.Command("gen-markdown") }
