"""Find the word a user meant."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the one of ``words`` most like ``word``, or an empty string when none is like it."""
    from difflib import get_close_matches

    by_folded = {known.casefold().replace("-", "_"): known for known in words}
    close = get_close_matches(word.casefold().replace("-", "_"), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else ""


def near_files(path: str) -> tuple[str, ...]:
    """Return names in a missing file's folder that look like it, the likest first."""
    import os
    from difflib import get_close_matches

    folder, name = os.path.split(path)
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return ()
    by_folded = {known.casefold(): known for known in names if not known.startswith(".")}
    close = get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)
    return tuple([by_folded[folded] for folded in close])
