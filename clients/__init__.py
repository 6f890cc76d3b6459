"""How the stack's parts are asked: Prometheus, Alertmanager, Grafana, the Docker Engine and Pulumi's CLI."""
