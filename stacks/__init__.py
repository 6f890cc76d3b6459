"""One environment's values: settings, image pins and the tracked YAML file of each stack."""
