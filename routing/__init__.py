"""Alert routing: the routing tree, and Alertmanager's configuration from it."""
