// Replaces: all
package cloud

import (
	"encoding/json"

	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

const Type = "cloud"

func refused() error {
	return leftout.Error("a secrets provider of a cloud (awskms, azurekeyvault, gcpkms, hashivault)")
}

func EditProjectStack(*workspace.ProjectStack, json.RawMessage) error { return refused() }

func NewCloudSecretsManagerFromState(json.RawMessage) (secrets.Manager, error) {
	return nil, refused()
}

func NewCloudSecretsManager(*workspace.ProjectStack, string, bool) (secrets.Manager, error) {
	return nil, refused()
}
