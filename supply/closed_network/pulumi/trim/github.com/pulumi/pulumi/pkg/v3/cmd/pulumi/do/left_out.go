// Replaces: all
package do

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/spf13/cobra"
)

// DefaultRunStatefulUpdate is only handed to NewDoCmd.
var DefaultRunStatefulUpdate any

func NewDoCmd(...any) *cobra.Command { return leftout.Command("do") }
