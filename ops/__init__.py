"""Commands for people that talk to a running stack. Never imports pulumi."""
