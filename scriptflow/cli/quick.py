"""Read the plain form of ``run`` without click, which takes longer to load than a run with nothing to do takes.

Reads the words only: what they mean is done by the same function that the click command calls.
"""

from __future__ import annotations

from scriptflow.cli.launch import Request


def request_of(words: list[str]) -> Request | None:
    """Return the request that ``run``, ``run NAME``, or one of them with ``-q`` stands for; None for anything else."""
    rest = [word for word in words[1:] if word != "-q"]
    if len(rest) > 1 or any(word.startswith("-") or not word for word in rest):
        return None
    return Request(words=tuple(rest), quiet="-q" in words, argv=tuple(words))
