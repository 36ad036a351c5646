"""What to say when another machine cannot be reached over ssh, in the same words whichever way it was tried.

Knows hosts and messages; opens no connection.
"""

from __future__ import annotations

from scriptflow.errors import ExecutorError


def key_changed(host: str, said: str) -> ExecutorError:
    """The host shows another key than the one on record: it was set up anew, or it is another machine."""
    return ExecutorError(
        f"the host key of {host} is not the one in known_hosts",
        why=[said, "the machine was set up anew, or somebody stands between"],
        do=f"ask its administrator; if the new key is right: ssh-keygen -R {host}, then ssh {host}",
    )


def key_unknown(host: str, said: str) -> ExecutorError:
    """The host's key was never accepted."""
    return ExecutorError(
        f"the host key of {host} is not known here",
        why=said,
        do=f"log in once by hand and compare the key: ssh {host}",
    )


def key_refused(host: str, user: str, said: str) -> ExecutorError:
    """The host does not let us in."""
    return ExecutorError(
        f"{host} does not let {user or 'this user'} in",
        why=[said, "there is nobody to ask for a password here: a key must do, from the agent or without a passphrase"],
        do=f'try ssh {host}; ssh-add, or user = "...", or transport = "openssh" with a session that is open already',
    )


def host_unknown(host: str, said: str) -> ExecutorError:
    """The name leads nowhere."""
    return ExecutorError(
        f"there is no host {host}", why=said, do="correct host = in the executor's settings, or connect the VPN"
    )


def no_way(host: str, said: str) -> ExecutorError:
    """The host does not answer."""
    return ExecutorError(
        f"{host} cannot be reached", why=said, do=f"connect the network or the VPN, then try ssh {host}"
    )


def no_commands(host: str, said: str) -> ExecutorError:
    """The host lets us in and runs nothing."""
    return ExecutorError(f"{host} runs no commands for this user", why=said, do=f"try ssh {host} true")


def cannot_write(host: str, path: str, said: str) -> ExecutorError:
    """A file cannot be written there."""
    lower = said.casefold()
    do = f"correct workdir, or make it writable: ssh {host} ls -ld {path.rpartition('/')[0] or '/'}"
    if "no space" in lower or "quota" in lower:
        do = f"make room there: ssh {host} df -h {path.rpartition('/')[0] or '/'}"
    return ExecutorError(f"{path} cannot be written on {host}", why=said, do=do)


def cannot_read(host: str, path: str, said: str) -> ExecutorError:
    """A file cannot be read there."""
    return ExecutorError(f"{path} cannot be read on {host}", why=said, do=f"look there: ssh {host} ls -l {path}")
