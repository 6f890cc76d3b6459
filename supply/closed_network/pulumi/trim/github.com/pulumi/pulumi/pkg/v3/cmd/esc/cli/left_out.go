// Replaces: all
package cli

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/pulumi/pulumi/sdk/v3/go/common/esc"
)

type PrepareOptions struct{ Quote, Pretend, Redact bool }

// PrepareEnvironment is asked for where a stack imports environments of Pulumi ESC.
func PrepareEnvironment(
	*esc.Environment, *PrepareOptions,
) (files, environ, secrets []string, filesByKey map[string]string, err error) {
	return nil, nil, nil, nil, leftout.Error("Pulumi ESC")
}
