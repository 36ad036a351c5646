"""Send what happens in a run to a server somewhere, without ever waiting for it."""
