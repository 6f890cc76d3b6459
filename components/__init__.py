"""What runs where: Pulumi components that put a plan on a Docker engine."""
