"""Whether a deployment can begin, and whether what was deployed is ready."""
