"""Who is told: receivers, the route tree and Alertmanager's configuration."""
