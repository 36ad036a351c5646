"""What this machine is called."""

from __future__ import annotations

import os


def host_name() -> str:
    """Return this machine's name."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
