"""Ways to run a short command and move files: on this machine, or on another."""
