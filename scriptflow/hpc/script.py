"""Write what a batch system runs, and read what the wrapper wrote: pure text in, pure text out.

Knows jobs and POSIX sh; knows nothing of any batch system, of transports and of waiting.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from scriptflow.core.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scriptflow.core.job import Job

# Linux takes no single word beyond 128 KiB; a longer text for a shell is given to it as a file.
_LONGEST_WORD = 120_000
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_READ_ONLY = {"UID", "EUID", "PPID", "BASHOPTS", "BASH_VERSINFO", "SHELLOPTS"}
_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_RUN = 60


@frozen
class Ending:
    """What the wrapper wrote of a command's end; times are seconds since the epoch on the job's own clock.

    Attributes:
        told: the signals that the wrapper was sent, and ``timeout`` when it ended the command itself.
        kills: how many processes the kernel killed for want of memory, None where it does not say.
    """

    id: str
    host: str
    pid: int | None
    began: float | None
    ended: float | None
    code: int
    signal: int | None
    told: tuple[str, ...]
    kills: int | None
    max_rss_bytes: int | None
    cpu_s: float | None
    detail: str


def quote(word: str) -> str:
    """Make one word of ``word`` for a POSIX shell, whatever it holds."""
    if "\0" in word:
        raise ValueError("a word of a command cannot hold a NUL")
    return "'" + word.replace("'", "'\"'\"'") + "'"


def safe(name: str) -> str:
    """Make a name of letters, digits, dots, dashes and underscores that begins with none of the latter three."""
    return _ODD.sub("_", name).lstrip("._-")[:_LONGEST_RUN] or "x"


def job_name(run: str, number: int, key: str, tag: str, limit: int) -> str:
    """Name a job so that it can be found again: by run, number and key, and ``tag`` for this one submission.

    A name that the system would cut becomes a digest of itself.
    """
    name = f"sf.{safe(run)}.{number}.{safe(key)[:8]}.{tag}"
    if len(name) <= limit:
        return name
    return "sf." + hashlib.sha256(name.encode()).hexdigest()[: limit - 3]


def command_file(
    job: Job,
    *,
    path_first: str = "",
    prologue: str = "",
    modules: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """Return the text of ``command.sh``, and of ``text.sh`` (empty when there is none).

    The job's own environment comes last, after modules and prologue.
    """
    words, text = list(job.argv), ""
    if (
        len(words) == 3
        and words[:2] == ["/bin/sh", "-c"]
        and len(words[2].encode(errors="surrogateescape")) > _LONGEST_WORD
    ):
        words, text = ["/bin/sh"], words[2]
    exports, assignments = [], []
    for name, value in {**(env or {}), **job.env}.items():
        if _IDENTIFIER.match(name) and name not in _READ_ONLY:
            exports.append(f"export {name}={quote(value)}")
        else:  # a shell cannot export it, but env can
            assignments.append(quote(f"{name}={value}"))
    prepare = [f"sf_load_module {quote(module)}" for module in modules]
    if prologue:
        prepare.append(prologue)
    lines = [
        f"sf_log={quote(job.log)}",
        f"sf_cwd={quote(job.cwd)}",
        *([f'export PATH={quote(path_first)}:"$PATH"'] if path_first else []),
        _LOAD_MODULE if modules else "",
        "sf_prepare() {\n:\n" + "\n".join(prepare) + "\n}",
        "sf_environment() {\n:\n" + "\n".join(exports) + "\n}",
        "set -- " + " ".join([*(["env", *assignments] if assignments else []), *map(quote, words)]),
    ]
    if text:
        lines.append('set -- "$@" "$sf_folder/text.sh"')
    return "\n".join(line for line in lines if line) + "\n", text


# Where the job's shell was not set up for modules, the usual places are asked.
_LOAD_MODULE = """\
sf_load_module() {
  if ! command -v module >/dev/null 2>&1; then
    for sf_file in "${LMOD_PKG-}/init/sh" "${MODULESHOME-}/init/sh" /etc/profile.d/lmod.sh /etc/profile.d/modules.sh; do
      [ ! -r "$sf_file" ] || { . "$sf_file"; break; }
    done
  fi
  module load "$1" || sf_refuse "its module $1 cannot be loaded"
}"""


def limits_file(job: Job) -> str:
    """Return the text of ``limits``, which the wrapper reads."""
    timeout = f"timeout={job.timeout_s:.3f}\n" if job.timeout_s is not None else ""
    return f"{timeout}grace={job.grace_s:.3f}\n"


def submission(header: Iterable[str], wrapper: str, folder: str, id_text: str) -> str:
    """Return the script of one job; ``id_text`` is what names it in the job's own shell."""
    return _script(header, [f"exec /bin/sh {quote(wrapper)} {quote(folder)} {id_text}"])


def array_submission(header: Iterable[str], wrapper: str, folders: str, members: str, index: str, id_text: str) -> str:
    """Return the script of an array: line n of the file ``members`` names the folder of element n in ``folders``."""
    lines = [
        f'sf_member=$(sed -n "{index}p" {quote(members)})',
        f'exec /bin/sh {quote(wrapper)} {quote(folders + "/")}"$sf_member" {id_text}',
    ]
    return _script(header, lines)


def _script(header: Iterable[str], lines: Sequence[str]) -> str:
    return "\n".join(["#!/bin/sh", *header, *lines]) + "\n"


def read_record(text: str) -> dict[str, str]:
    """Read the lines ``name=value`` of a record."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def read_ending(text: str, *, detail: str = "", times: str = "") -> Ending | None:
    """Read the record of an end, or None when it is not one."""
    record = read_record(text)
    code = _whole(record.get("code", ""))
    if code is None:
        return None
    peak, signal = _whole(record.get("peak_kb", "")), _whole(record.get("signal", ""))
    return Ending(
        id=record.get("id", ""),
        host=record.get("host", ""),
        pid=_whole(record.get("pid", "")),
        began=_time(record.get("began", "")),
        ended=_time(record.get("ended", "")),
        code=code,
        signal=signal,
        told=tuple(record.get("told", "").split()),
        kills=_whole(record.get("oom", "")),
        max_rss_bytes=peak * 1024 if peak else None,
        cpu_s=_read_times(times),
        detail=detail.strip(),
    )


def _whole(text: str) -> int | None:
    return int(text) if text.removeprefix("-").isdecimal() and text.isascii() else None


def _time(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _read_times(text: str) -> float | None:
    """Read what the shell's ``times`` says of children: the second line, like ``0m1.50s 0m0.25s``."""
    spent = re.findall(r"(\d+)m([\d.]+)s", text)
    if len(spent) != 4:
        return None
    return sum(int(minutes) * 60 + float(seconds) for minutes, seconds in spent[2:])
