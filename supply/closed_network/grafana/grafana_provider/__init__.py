"""A stand-in for the Pulumi plugin pulumi-resource-grafana, for networks from which that one cannot be had.

It has the resources Folder, Dashboard, DataSource and OrganizationPreferences of `grafana:oss`, speaks Grafana's
HTTP API (to a real Grafana as well as to the stand-in server), and keeps its state so that the official plugin
can take over and give back. It is not made from the official plugin.
"""

VERSION = "2.44.0"
"""The pulumiverse-grafana package whose plugin this stands in for; with another version the CLI warns."""
