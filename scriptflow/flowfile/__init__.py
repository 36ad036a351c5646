"""Flow files: found, loaded, their flows chosen and given their parameters."""
