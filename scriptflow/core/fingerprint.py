"""The manifest of a task: one text whose equality is "the same task", and whose lines say what differs.

The digest and the explanation read the same text, so they cannot disagree.
Knows nothing of records, files on disk or heads.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def manifest_text(
    command: str | tuple[str, ...],
    shell: bool,
    inputs: Sequence[str],
    outputs: Sequence[str],
    extra: Mapping[str, str] | None,
) -> str:
    """Write the manifest; ``extra`` holds what few tasks have (``cwd``, ``container``, ``code``, ``env X`` …)."""
    # No field may hold a NUL (neither argv nor a path can), so counted, NUL-ended fields are unambiguous.
    if type(command) is str:
        words: tuple[str, ...] = ("S" if shell else "s", command)
    else:
        words = (f"a{len(command)}", *command)
    text = "\0".join((*words, str(len(inputs)), *inputs, str(len(outputs)), *outputs))
    if extra:
        text += "".join([f"\0{key}={value}" for key, value in sorted(extra.items())])
    return text


def digest(manifest: str) -> str:
    """Return the task's key: 32 hex digits of the manifest's SHA-256."""
    import hashlib

    return hashlib.sha256(manifest.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Manifest:
    """A manifest read back: ``command`` as one line, ``inputs``, ``outputs`` and ``extra``."""

    __slots__ = ("command", "extra", "inputs", "outputs", "shell")

    def __init__(self, text: str) -> None:
        fields = text.split("\0")
        kind = fields[0]
        if kind[:1] == "a":
            count = int(kind[1:])
            import shlex

            self.command = shlex.join(fields[1 : 1 + count])
            at = 1 + count
        else:
            self.command = fields[1]
            at = 2
        self.shell = kind == "S"
        self.inputs, at = _counted(fields, at)
        self.outputs, at = _counted(fields, at)
        self.extra = dict(item.partition("=")[::2] for item in fields[at:])


def _counted(fields: list[str], at: int) -> tuple[tuple[str, ...], int]:
    count = int(fields[at])
    return tuple(fields[at + 1 : at + 1 + count]), at + 1 + count


def differences(old: str, new: str) -> tuple[tuple[str, str], ...]:
    """Return (reason code, what differs with old and new value) for each part in which two manifests differ."""
    before, after = Manifest(old), Manifest(new)
    found: list[tuple[str, str]] = []
    if before.command != after.command:
        found.append(("command-changed", f"{before.command} -> {after.command}"))
    elif before.shell != after.shell:
        found.append(("command-changed", f"shell={before.shell} -> shell={after.shell}"))
    for key in sorted(before.extra.keys() | after.extra.keys()):
        was, now = before.extra.get(key, "(not set)"), after.extra.get(key, "(not set)")
        if was != now:
            code = {"code": "code-changed", "container": "container-changed"}.get(key)
            code = code or ("params-changed" if key.startswith("param ") else "command-changed")
            found.append((code, f"{key}: {was} -> {now}"))
    if before.outputs != after.outputs:
        found.append(("command-changed", f"outputs: {_lists(before.outputs, after.outputs)}"))
    if before.inputs != after.inputs:
        found.append(("inputs-changed", _lists(before.inputs, after.inputs)))
    return tuple(found)


def _lists(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    kept = set(before) & set(after)
    gone, added = ([path for path in paths if path not in kept] for paths in (before, after))
    if not gone and not added:
        return "order changed"
    words = [f"{label} {', '.join(paths[:3])}{f' and {len(paths) - 3} more' if len(paths) > 3 else ''}"
             for label, paths in (("added", added), ("gone", gone)) if paths]  # fmt: skip
    return "; ".join(words)
