// The path lies below the upstream module's, so that its internal package may be imported.
module github.com/terraform-providers/terraform-provider-docker/shim

go 1.25
