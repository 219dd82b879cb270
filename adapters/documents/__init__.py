"""Documents: child processes with limits, for work on octets that came from outside."""
