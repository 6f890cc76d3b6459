// Package shim hands out the upstream provider, whose constructor lies in an internal package.
package shim

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// New returns the upstream Docker provider as it would serve Terraform.
func New(version string) *schema.Provider {
	return provider.New(version)()
}
