"""A stand-in for Grafana: a small server with the part of Grafana's HTTP API that this project uses.

It is not Grafana. It exists for networks from which Grafana cannot be had; wherever the official image can be
pulled, that one runs instead. It keeps its data (SQLite), checks credentials, asks data sources for real and
answers errors with Grafana's status codes and shapes. What it does not have, it answers with 404.
"""

STAND_IN_VERSION = "1.1.0"
"""The version of this program; its image is tagged with it."""

GRAFANA_API_VERSION = "12.4.3"
"""The Grafana whose HTTP API is imitated; /api/health reports it, because clients choose calls by it."""

NOTICE = "Grafana stand-in: this machine cannot have Grafana"
"""Shown on every page."""
