// Replaces: all
package azureblob

import (
	"context"
	"net/url"

	"gocloud.dev/blob"
	"gocloud.dev/blob/leftout"
)

const Scheme = "azblob"

func init() { leftout.Register(Scheme) }

// What follows is what Pulumi's backend makes an opener of its own with.

type ServiceURLOptions struct{}

func NewDefaultServiceURLOptions() *ServiceURLOptions { return &ServiceURLOptions{} }

func NewDefaultClient() {}

type URLOpener struct {
	MakeClient        func()
	ServiceURLOptions ServiceURLOptions
}

func (*URLOpener) OpenBucketURL(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	return leftout.Driver(Scheme).OpenBucketURL(ctx, u)
}
