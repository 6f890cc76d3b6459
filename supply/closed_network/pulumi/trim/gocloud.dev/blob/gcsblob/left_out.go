// Replaces: all
package gcsblob

import "gocloud.dev/blob/leftout"

const Scheme = "gs"

func init() { leftout.Register(Scheme) }
