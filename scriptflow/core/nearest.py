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
