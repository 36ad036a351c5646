"""The run store: what ran, why, from what and how it ended, in one SQLite file beside the flow."""
