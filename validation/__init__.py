"""What must hold between settings, rules, routes and dashboards; each check gives a line for every problem."""
