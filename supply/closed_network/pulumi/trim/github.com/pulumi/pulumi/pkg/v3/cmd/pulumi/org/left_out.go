// Replaces: all
package org

import (
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/spf13/cobra"
)

func NewOrgCmd() *cobra.Command { return leftout.Command("org") }
