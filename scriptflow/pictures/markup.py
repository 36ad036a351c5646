"""Foreign text made harmless for XML and HTML; knows nothing of what is written."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
# XML has no way to write these: control signs, half surrogate pairs, and two that are no signs. Signs that turn the
# direction of text are taken out too: with them a name can look like another.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")
_SIGNS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_TO_SIGNS = str.maketrans(_SIGNS)


def escape(text: str) -> str:
    """Return ``text`` as it may stand in XML or HTML, between tags or within quotes."""
    return _IMPOSSIBLE.sub("\ufffd", text).translate(_TO_SIGNS)


def link(href: str) -> str:
    """Return an address escaped, or nothing for one that is more than a place to go to (``javascript:``)."""
    plain = _IMPOSSIBLE.sub("", href).strip()
    scheme = _SCHEME.match(plain)
    return "" if scheme and scheme[0].lower() not in ("http:", "https:") else escape(plain)
