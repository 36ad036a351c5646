"""The signs, colours and style sheet of pictures: a state is a sign and a word, and only then a colour.

Knows the words that states go by. Knows nothing of nodes or places.
"""

from __future__ import annotations

SIGNS = {
    "succeeded": ("ok", "✓"),
    "ran": ("ok", "✓"),
    "skipped": ("same", "="),
    "up to date": ("same", "="),
    "failed": ("failed", "✗"),
    "lost": ("failed", "✗"),
    "cancelled": ("stopped", "⊘"),
    "interrupted": ("stopped", "⊘"),
    "running": ("running", "▶"),
    "started": ("running", "▶"),
    "submitted": ("running", "▶"),
    "would run": ("running", "▶"),
    "retrying": ("retry", "↻"),
    "source": ("source", "◦"),
    "file": ("source", "◦"),
}
"""Maps a state to the class of its colour and its sign; any other word is shown as one that waits."""

# Measured for contrast (5:1 and more on their grounds) and for eyes that do not tell red from green.
LIGHT = {
    "ink": "#1c2128", "soft": "#57606a", "ground": "#ffffff", "box": "#f6f8fa", "line": "#8c959f", "edge": "#d0d7de",
    "ok": "#007a5e", "failed": "#b3261e", "running": "#0b57d0", "retry": "#6e3aa8", "waiting": "#57606a",
}  # fmt: skip
DARK = {
    "ink": "#e6edf3", "soft": "#9aa4af", "ground": "#0d1117", "box": "#161b22", "line": "#6e7681", "edge": "#30363d",
    "ok": "#56d4bc", "failed": "#ff6b5e", "running": "#79c0ff", "retry": "#ffd866", "waiting": "#9aa4af",
}  # fmt: skip


def sign_of(state: str) -> tuple[str, str]:
    """Return the class of a state's colour and its sign."""
    return SIGNS.get(state, ("waiting", "·"))


def variables(colours: dict[str, str]) -> str:
    """Return a palette as CSS variables, ``--sf-ink`` and so on."""
    return " ".join(f"--sf-{name}: {colour};" for name, colour in colours.items())


PALETTE = f"""\
:root {{ color-scheme: light dark; {variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}
"""
"""The variables that ``PICTURE`` uses; a page may set them by rules of its own instead."""

PICTURE = """\
.sf-picture { font: 13px system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
.sf-picture text { fill: var(--sf-ink); }
.sf-picture .sf-small { font-size: 11px; fill: var(--sf-soft); }
.sf-picture rect { fill: var(--sf-box); stroke: var(--sf-edge); stroke-width: 1.5; }
.sf-picture .sf-line { fill: none; stroke: var(--sf-line); stroke-width: 1.3; }
.sf-picture .sf-head { fill: var(--sf-line); }
.sf-picture a:hover rect, .sf-picture a:focus rect { stroke-width: 3; }
.sf-picture .sf-back { stroke-dasharray: 5 4; }
.sf-picture .sf-source rect { stroke-dasharray: 4 3; }
.sf-ok rect { stroke: var(--sf-ok); } .sf-ok .sf-sign { fill: var(--sf-ok); }
.sf-same rect { stroke: var(--sf-edge); } .sf-same .sf-sign { fill: var(--sf-ok); }
.sf-failed rect { stroke: var(--sf-failed); stroke-width: 2.5; } .sf-failed .sf-sign { fill: var(--sf-failed); }
.sf-stopped rect, .sf-retry rect { stroke: var(--sf-retry); }
.sf-stopped .sf-sign, .sf-retry .sf-sign { fill: var(--sf-retry); }
.sf-running rect { stroke: var(--sf-running); } .sf-running .sf-sign { fill: var(--sf-running); }
.sf-waiting .sf-sign, .sf-source .sf-sign { fill: var(--sf-waiting); }
"""
"""The rules of a picture; without them (in a page that forbids styles inside) it is still readable."""
