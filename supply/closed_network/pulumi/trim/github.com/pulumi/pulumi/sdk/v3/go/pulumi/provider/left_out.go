// Replaces: component_provider.go provider.go empty.s
package provider

// The bridge serves a provider that it implements itself. What was replaced is for components written in Go, and needs
// all of Pulumi's Go SDK.
