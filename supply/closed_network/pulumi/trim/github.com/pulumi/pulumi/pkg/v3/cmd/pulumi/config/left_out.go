// Replaces: config_env_init.go
package config

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/spf13/cobra"
)

func newConfigEnvInitCmd(*configEnvCmd) *cobra.Command { return leftout.Command("init") }
