"""Pulumi component resources that put the desired state on a Docker host."""
