"""Send what a run has left in the spool: a program that the head starts when it leaves before the server has all.

Started by ``sending.sender``, never by hand. Ends when the spool is empty or the server does not answer, at the
latest after a minute; what is left then goes with the next run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from time import monotonic

from scriptflow.posting import PostFailed, post
from scriptflow.sending.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LAST_S = 60.0
"""How long it works at most."""
_LIMIT_S = 20.0


def leave_the_rest(url: str, headers: Mapping[str, str], store: str) -> None:
    """Start the program; the token goes through a pipe, where nobody else can see it."""
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "scriptflow.sending.rest"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, cwd=os.path.dirname(store),  # noqa: PTH120 (plain strings)
        )  # fmt: skip
        assert child.stdin is not None  # noqa: S101 (made with a pipe)
        child.stdin.write(json.dumps({"url": url, "headers": dict(headers), "store": store}).encode())
        child.stdin.close()
    except OSError:
        return  # the next run sends it
    child.returncode = 0  # it is to outlive us: no warning about that


def main() -> None:
    """Post batch after batch."""
    asked = json.load(sys.stdin)
    spool = Spool(f"{asked['store']}/spool", "")
    deadline = monotonic() + LAST_S
    while (found := spool.first()) is not None and monotonic() < deadline:
        try:
            post(asked["url"], found[1], asked["headers"], _LIMIT_S)
        except PostFailed:
            return
        spool.sent(found[0])


if __name__ == "__main__":
    main()
