// Replaces: all
package cloud

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/spf13/cobra"
)

func NewAPICmd() *cobra.Command { return leftout.Command("api") }

// APIError is what `pulumi api` fails with, so that here nothing does; the CLI asks each error whether it is one.
type APIError struct {
	ExitCode int
	Silent   bool
}

func (*APIError) Error() string { return "" }
