"""Say what a job did as people read it: a command as it is, a call of a function with its arguments and its value.

Knows manifests and value files as jobs leave them. Knows nothing of how calls are made.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from scriptflow.core.fingerprint import Manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scriptflow.core.records import Seen

_VALUES = ".scriptflow/values/"
_LONGEST = 60
_MOST_BYTES = 64_000


def command_of(manifest: str) -> str:
    """Return the command of a job; of a call ``module:function(n=1, data=measure-1…)``."""
    read = Manifest(manifest)
    if "code" not in read.extra:
        return read.command
    given = [
        f"{key.removeprefix('param ')}={_argument(text)}"
        for key, text in read.extra.items()
        if key.startswith("param ")
    ]
    return f"{read.command}({', '.join(given)})"


def is_value(seen: Seen) -> bool:
    """Whether a file of a job holds the value of its call, and is small enough to be shown and handed on."""
    return seen.role == "out" and seen.path.startswith(_VALUES) and 0 <= seen.size <= _MOST_BYTES


def value_of(path: str | Path, seen: Seen) -> str:
    """Return the value that a job left in a file, in short; "" when it is not there as the job left it.

    Args:
        path: where the file is.
        seen: the file as it was recorded.
    """
    try:
        data = Path(path).read_bytes()
        if seen.sha256 != f"sha256:{sha256(data).hexdigest()}":
            return ""
        return _short(_plain(json.loads(data)["value"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _argument(text: str) -> str:
    try:
        return _short(_plain(json.loads(text)))
    except ValueError:
        return _short(text)


def _plain(data: Any) -> str:  # noqa: ANN401 (whatever JSON holds)
    """Return stored data as people write it: no tags, a task among arguments by its value's name or its files."""
    if isinstance(data, list):
        return f"[{', '.join(map(_plain, data))}]"
    if not isinstance(data, dict):
        return json.dumps(data, ensure_ascii=False)
    kind = data.get("$")
    if kind is None:
        items = [f"{json.dumps(key, ensure_ascii=False)}: {_plain(item)}" for key, item in data.items()]
        return f"{{{', '.join(items)}}}"
    if kind == "value":
        return f"value of {str(data['file']).rpartition('/')[2].removesuffix('.json')}"
    if kind == "files":
        names = [item["glob"] if isinstance(item, dict) else str(item) for item in data["v"]]
        return names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    if kind in ("tuple", "set", "frozenset", "path", "datetime", "date", "time"):
        return f"{kind} {_plain(data['v'])}" if kind != "tuple" else f"({', '.join(map(_plain, data['v']))})"
    if kind in ("model", "dataclass", "enum"):
        return f"{str(data['type']).rpartition(':')[2]} {_plain(data['v'])}"
    return f"<{kind}>"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
