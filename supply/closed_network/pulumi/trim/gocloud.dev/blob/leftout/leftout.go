// Package leftout stands where the driver of a kind of bucket was left out.
package leftout

import (
	"context"
	"fmt"
	"net/url"

	"gocloud.dev/blob"
)

// Driver has the scheme of the buckets that it does not open.
type Driver string

func (scheme Driver) OpenBucketURL(context.Context, *url.URL) (*blob.Bucket, error) {
	return nil, fmt.Errorf("the driver of %s:// was left out when this CLI was compiled for a network "+
		"without downloads (supply/README.md); the official CLI has it", string(scheme))
}

// Register makes the scheme known as one of buckets; Pulumi takes an address of any other for that of its cloud.
func Register(scheme string) { blob.DefaultURLMux().RegisterBucket(scheme, Driver(scheme)) }
