"""Tell people how runs go: by a command, a web hook, ntfy, mail, or any service that apprise knows."""
