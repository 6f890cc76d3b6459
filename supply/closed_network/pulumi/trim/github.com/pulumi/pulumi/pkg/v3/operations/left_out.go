// Replaces: operations_aws.go operations_cloud_aws.go operations_gcp.go
package operations

import (
	"context"

	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/leftout"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

func CloudOperationsProvider(map[config.Key]string, *Resource) (Provider, error) {
	return nil, leftout.Error("what asks pulumi-cloud for logs")
}

func AWSOperationsProvider(context.Context, map[config.Key]string, *Resource) (Provider, error) {
	return nil, leftout.Error("what asks AWS for logs")
}

func GCPOperationsProvider(context.Context, map[config.Key]string, *Resource) (Provider, error) {
	return nil, leftout.Error("what asks Google Cloud for logs")
}
