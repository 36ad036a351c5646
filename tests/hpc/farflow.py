"""A login node of one test's own: a real sshd on loopback with its own keys, and a flow that submits through it."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from beds import BEDS
from clusterflow import ClusterFlow


def reason_without_sshd():
    if os.geteuid() != 0 or not os.path.exists("/usr/sbin/sshd"):
        return f"no sshd is here: {BEDS}/sshd-up, as root, installs it"
    return ""


NO_SSHD = reason_without_sshd()
with_sshd = pytest.mark.skipif(bool(NO_SSHD), reason=NO_SSHD or "it is here")


class LoginNode:
    """A running sshd; ``config`` is an ssh config file with the host ``testbed``."""

    def __init__(self, folder):
        self.state = folder / "sshd"
        self.start()

    def start(self, **env):
        env = {**os.environ, "TESTBED_SSHD_DIR": str(self.state), **env}
        done = subprocess.run([BEDS / "sshd-up"], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.config = self.state / "etc" / "ssh_config"
        self.keys = self.state / "keys"
        self.port = int((self.state / "port").read_text())

    def stop(self, *, broken=False):
        """Stop the daemon, and break the links that it leaves open if asked to."""
        open_ones = self.sessions() if broken else []
        subprocess.run(
            [BEDS / "sshd-down"],
            env={**os.environ, "TESTBED_SSHD_DIR": str(self.state)},
            capture_output=True,
            check=True,
        )
        kill(open_ones)

    def greet(self, text):
        """Let every login begin with words on both streams."""
        key = (self.keys / "client.pub").read_text()
        command = f'echo {text}; echo {text} >&2; exec /bin/bash -c \\"$SSH_ORIGINAL_COMMAND\\"'
        (self.keys / "authorized").write_text(f'command="{command}" {key}')

    def sessions(self):
        """Return the pids of the processes that serve open connections."""
        daemon, found = (self.state / "pid" / "sshd").read_text().strip(), []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                text = path.read_text()
            except OSError:
                continue
            if text.rpartition(")")[2].split()[1] == daemon:
                found.append(int(path.parent.name))
        return found

    def break_links(self):
        """End all open connections as a broken network does: nothing is said to the client's commands."""
        kill(self.sessions())


def kill(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


class FarFlow(ClusterFlow):
    """A flow here whose jobs run in ``far``, another folder, reached through a login node."""

    def __init__(self, folder, kind, login, far, *, more="", **changes):
        self.far = far
        far.mkdir(exist_ok=True)
        options = (
            f'host = "testbed"\nssh_config = "{login.config}"\nworkdir = "{far}"\n'
            f'remote_prologue = "PATH={os.environ["PATH"]}"\n{more}'
        )
        super().__init__(folder, kind, more=options, **changes)

    def go(self):
        (self.far / "go").touch()

    def wait_for(self, *names):
        self.until(lambda: all((self.far / name).exists() for name in names), names)

    def times_run(self):
        return [len(path.read_text().splitlines()) for path in sorted(self.far.glob("ran-*"))]


def inodes(folder):
    return {str(path.relative_to(folder)): path.stat().st_ino for path in sorted(folder.rglob("*")) if path.is_file()}


def error_text(out):
    return re.sub(r"\s+", " ", out)
