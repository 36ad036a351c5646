"""Read a flow's name and parameters out of the words that are no option of the command.

What is an option of the flow is only known once the flow file is loaded; of click only the names of the command's
own options are asked, for the one that was meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scriptflow.errors import ParameterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.flowfile.discover import Flow, FlowFile
    from scriptflow.flowfile.parameters import Parameter

_FILE_BYTES = 10 * 1024**2


def read_words(words: Sequence[str], pairs: Sequence[str], flow_file: FlowFile) -> tuple[Flow, dict[str, list[str]]]:
    """Return the flow, and the text of each parameter in the order it was given.

    Args:
        words: ``["demo", "--n", "3", "--no-plot"]``.
        pairs: ``["n=3"]``, from ``-p``.
        flow_file: where the flow is.

    Raises:
        UsageError: a word is neither the flow's name nor an option of it; the nearest one is named.
    """
    names = [flow.name for flow in flow_file.flows]
    # The name stands first, unless options do: then it is the word that names a flow.
    first_is_name = bool(words) and not words[0].startswith("-")
    at = 0 if first_is_name else next((index for index, word in enumerate(words) if word in names), None)
    rest = list(words)
    if at is None:
        _refuse_typos(rest, flow_file.flows)
    flow = flow_file.choose(None if at is None else rest.pop(at))
    texts: dict[str, list[str]] = {}
    while rest:
        parameter, text = _next_option(rest, flow)
        texts.setdefault(parameter, []).append(text)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"-p {pair} is no NAME=VALUE", do=f"-p {pair or 'n'}=VALUE")
        texts.setdefault(name, []).append(text)
    return flow, texts


def read_params_file(path: str) -> dict[str, object]:
    """Read a JSON, TOML or YAML file of parameters.

    Raises:
        ParameterError: it cannot be read, is too big, or does not hold one table.
    """
    file = Path(path)
    do = "--params FILE.json, FILE.toml or FILE.yaml"
    try:
        if file.stat().st_size > _FILE_BYTES:
            raise ParameterError(f"{path} is larger than 10 MB", do=do)
        found = _parsed(file.read_text(encoding="utf-8"), file.suffix.lower())
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}", do=do) from error
    except ValueError as error:
        raise ParameterError(
            f"{path} cannot be read as parameters", why=str(error).strip().splitlines(), do=do
        ) from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ParameterError(f"{path} holds no table of parameters", do=do)
    return found


def _parsed(text: str, suffix: str) -> object:
    """Parse text by its file's suffix; what is wrong with it is a ValueError."""
    if suffix == ".json":
        import json

        return json.loads(text)
    if suffix == ".toml":
        import tomllib

        return tomllib.loads(text)
    if suffix in (".yaml", ".yml"):
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        try:
            return YAML(typ="safe", pure=True).load(text) or {}
        except YAMLError as error:
            raise ValueError(str(error)) from error
    raise ValueError(f"its name ends in {suffix or 'nothing'}")


def _next_option(rest: list[str], flow: Flow) -> tuple[str, str]:
    """Take one option, and its value, off the front of ``rest``."""
    word = rest.pop(0)
    if not word.startswith("--"):
        kind = "no such option: " if word.startswith("-") else "unexpected word: "
        raise UsageError(kind + word, why=_options_of(flow), do=f"{click.get_current_context().command_path} --help")
    option, equals, value = word[2:].partition("=")
    parameter = _find(flow, option)
    if parameter is None:
        off = _find(flow, option.removeprefix("no-")) if option.startswith("no-") and not equals else None
        if off is None or not off.is_flag:
            raise _unknown(option, [flow])
        return off.name, "false"
    name = option.replace("-", "_") if parameter.any_name else parameter.name
    if equals:
        return name, value
    if parameter.is_flag:
        return name, "true"
    if not rest:
        raise UsageError(f"--{option} needs a value ({parameter.type_text})", do=f"--{option} VALUE")
    return name, rest.pop(0)


def _find(flow: Flow, option: str) -> Parameter | None:
    name = option.replace("-", "_")
    known = {parameter.name: parameter for parameter in flow.parameters if not parameter.any_name}
    rest = (parameter for parameter in flow.parameters if parameter.any_name and name.isidentifier())
    return known.get(name) or next(rest, None)


def _options_of(flow: Flow) -> str:
    options = ", ".join(f"--{parameter.option}" for parameter in flow.parameters if not parameter.any_name)
    return f"flow `{flow.name}` takes {options or 'no parameters'}"


def _refuse_typos(words: Sequence[str], flows: Sequence[Flow]) -> None:
    """Raise for an option that no flow knows, before anyone is asked which flow it is for."""
    for word in words:
        option = word[2:].partition("=")[0] if word.startswith("--") else ""
        if option and not any(_find(flow, name) for flow in flows for name in (option, option.removeprefix("no-"))):
            raise _unknown(option, flows)


def _unknown(option: str, flows: Sequence[Flow]) -> UsageError:
    from scriptflow.core.nearest import nearest

    context = click.get_current_context()
    ours = [name[2:] for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
    near = nearest(option, [*ours, *(parameter.option for flow in flows for parameter in flow.parameters)])
    return UsageError(
        f"no such option: --{option}",
        why=[_options_of(flow) for flow in flows],
        do=f"an option with a similar name exists: `--{near}`" if near else f"{context.command_path} --help",
    )
