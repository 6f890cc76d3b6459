// Replaces: all
package authhelpers

import (
	"context"

	"gocloud.dev/blob"
)

// GoogleCredentialsMux opens the buckets of gs://, whose driver says that it was left out.
func GoogleCredentialsMux(context.Context) (*blob.URLMux, error) {
	return blob.DefaultURLMux(), nil
}
