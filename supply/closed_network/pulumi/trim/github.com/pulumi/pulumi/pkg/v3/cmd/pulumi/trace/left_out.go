// Replaces: all
package trace

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/spf13/cobra"
)

func NewViewTraceCmd() *cobra.Command    { return leftout.Command("view-trace") }
func NewConvertTraceCmd() *cobra.Command { return leftout.Command("convert-trace") }
