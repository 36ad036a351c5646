"""Read the settings of a flow: files beside it, ``sf.init``, profile, environment and flags, in their order.

Knows where settings are written; what they mean is ``core.config``'s.
"""

from __future__ import annotations

import os

from scriptflow.core.config import SETTINGS, Origin, Settings, recorded_inits, settings_from
from scriptflow.core.paths import shown
from scriptflow.errors import Place, SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Layer = tuple[str, Mapping[str, object]]

_ENV = "SCRIPTFLOW_"
_PROFILE = "SCRIPTFLOW_PROFILE"
# Told to jobs or read elsewhere, so they are no settings.
_NO_SETTINGS = (_PROFILE, *(_ENV + word for word in ("RUN", "TASK", "JOB", "ATTEMPT", "STORE", "SERVER_TOKEN")))
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def load_settings(
    folder: str, *, profile: str | None = None, mark: Mapping[str, object] | None = None, flags: Sequence[Layer] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:  # fmt: skip
    """Return the settings for a flow file in ``folder``, which is loaded already.

    Args:
        folder: where ``scriptflow.toml`` or ``pyproject.toml`` may lie.
        profile: name of the profile, else ``SCRIPTFLOW_PROFILE`` decides.
        mark: what ``@sf.flow(...)`` was given; its ``check`` is a setting of that flow.
        flags: layers from the command line, or from ``sf.run(settings=...)``.
        environ: the environment, ``os.environ`` when left out.

    Raises:
        SettingsError: a file that is not TOML, an unknown key or profile, a value of the wrong kind.
    """
    environ = os.environ if environ is None else environ
    layers = [*read_settings_files(folder), *recorded_inits()]
    profile = profile or environ.get(_PROFILE)
    if profile:
        layers.append(_profile_layer(profile, settings_from(layers)))
    if mark and mark.get("check") is not None:
        layers.append(("@sf.flow", {"check": mark["check"]}))
    return settings_from([*layers, *environment_layers(environ), *flags])


def read_settings_files(folder: str) -> list[Layer]:
    """Return the layers of ``scriptflow.toml``, else of ``[tool.scriptflow]`` in ``pyproject.toml``, one for each line.

    Raises:
        SettingsError: the file cannot be read, or is not TOML.
    """
    for name, prefix in (("scriptflow.toml", ()), ("pyproject.toml", ("tool", "scriptflow"))):
        path = f"{folder}/{name}"
        try:
            with open(path, "rb") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise SettingsError(f"cannot read {name}: {error.strerror}", why=f"path {path}") from error
        # Most projects have a pyproject.toml that does not speak of us: no parser is loaded for those.
        if prefix and b"scriptflow" not in content:
            continue
        table: object = _parsed(content, path, name)
        for key in prefix:
            table = table.get(key) if isinstance(table, dict) else None
        if isinstance(table, dict):
            return _leaves(table, prefix, _lines(content.decode()), path, name)
    return []


def environment_layers(environ: Mapping[str, str]) -> list[Layer]:
    """Read ``SCRIPTFLOW_CHECK=content`` and ``SCRIPTFLOW_EXECUTORS__LOCAL__MAXSIZE=3`` into layers, one each."""
    layers: list[Layer] = []
    for name, text in environ.items():
        if not name.startswith(_ENV) or name in _NO_SETTINGS:
            continue
        *tables, key = name.removeprefix(_ENV).lower().split("__")
        layer: dict[str, object] = {key: _scalar(text) if tables else _value_of(key, text)}
        for table in reversed(tables):
            layer = {table: layer}
        layers.append((f"environment {name}", layer))
    return layers


def _value_of(key: str, text: str) -> object:
    """Read text as the kind of value the setting ``key`` has; what does not fit is left for the check to name."""
    default = SETTINGS[key][0] if key in SETTINGS else None
    if isinstance(default, bool):
        return _TRUTH.get(text.lower(), text)
    if isinstance(default, tuple):
        return text.split()
    if isinstance(default, (dict, int)) or key == "jobs":
        return _scalar(text)
    return text


def _scalar(text: str) -> object:
    import json

    try:
        return json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except ValueError:
        return text


def _profile_layer(profile: str, settings: Settings) -> Layer:
    layer = settings.profiles.get(profile)
    if layer is None:
        from scriptflow.core.nearest import nearest

        near = nearest(profile, settings.profiles)
        raise SettingsError(
            f"no profile `{profile}`",
            why=f"profiles: {', '.join(settings.profiles) or 'none'}",
            do=f"--profile {near}" if near else f"write a table [profiles.{profile}] in scriptflow.toml",
        )
    return f"profile {profile}", layer


def _parsed(content: bytes, path: str, name: str) -> dict[str, object]:
    import re
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SettingsError(f"{name} is not UTF-8", do="save it as UTF-8", place=Place(shown(path), line)) from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at (?:line (\d+), column (\d+)|end of document)\)", str(error))
        lines = content.decode().splitlines() or [""]
        line = int(found[1]) if found and found[1] else len(lines)
        column = int(found[2]) if found and found[2] else len(lines[-1]) + 1
        what = str(error).removesuffix(found[0] if found else "").strip()
        place = Place(shown(path), line, column=column, text=lines[min(line, len(lines)) - 1])
        raise SettingsError(
            f"{name} is not TOML: {what[:1].lower()}{what[1:]}", do="write `key = value`, text in quotes", place=place
        ) from error
    except (RecursionError, ValueError) as error:  # tables within tables without end, a number of 5,000 digits
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SettingsError(f"{name} cannot be read", why=why, do=f"correct {path}") from error


def _leaves(
    table: dict[str, object], path: tuple[str, ...], lines: dict[tuple[str, ...], tuple[int, str]], file: str, name: str
) -> list[Layer]:
    """Cut a table into one layer for each value, so that each has its own line as origin."""
    layers: list[Layer] = []
    for key, value in table.items():
        at = (*path, key)
        if isinstance(value, dict) and value and len(path) < 6:
            inner = _leaves(value, at, lines, file, name)
            layers.extend((origin, {key: layer}) for origin, layer in inner)
            continue
        line, text = next((lines[at[:end]] for end in range(len(at), 0, -1) if at[:end] in lines), (0, ""))
        origin = Origin.at(f"{name}:{line}", Place(shown(file), line, text=text)) if line else Origin(name)
        layers.append((origin, {key: value}))
    return layers


def _lines(text: str) -> dict[tuple[str, ...], tuple[int, str]]:
    """Map each key to its line, as far as a look at the lines can tell: for messages only."""
    found: dict[tuple[str, ...], tuple[int, str]] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if words.startswith("["):
            table = _keys(words.strip("[").partition("]")[0])
            found.setdefault(table, (number, line))
        elif "=" in words and not words.startswith("#"):
            found.setdefault((*table, *_keys(words.partition("=")[0])), (number, line))
    return found


def _keys(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
