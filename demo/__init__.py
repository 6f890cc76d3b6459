"""The monitored system of the dev stack: a small web API and an inbox for what it and Alertmanager send."""
