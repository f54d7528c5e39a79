"""Real clients as the judges of what trustmend says they read."""
