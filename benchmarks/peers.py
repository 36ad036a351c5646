"""Find or install what is compared: scriptflow as a wheel, doit and snakemake from pip, make and ninja from the system.

Knows nothing of what they are to run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "scriptflow")
_PACKAGES = {"make": "make", "ninja": "ninja-build"}


class Peers:
    """The programs that are there.

    Attributes:
        bin: the folder of our environment's programs.
        paths: each peer's name to its program; what could not be had is not in it.
        missing: a sentence on each that could not be had.
    """

    def __init__(self, folder: str, wanted: tuple[str, ...]) -> None:
        self.folder = folder
        self.paths: dict[str, str] = {}
        self.missing: list[str] = []
        self.bin = self._install_ours()
        for name in ("make", "ninja"):
            if name in wanted:
                self._from_system(name)
        for name in ("doit", "snakemake"):
            if name in wanted:
                self._from_pip(name)
        self.stamp = _compile_stamp(folder)

    def __contains__(self, name: str) -> bool:
        return name in self.paths

    @property
    def scriptflow(self) -> str:
        """Our program."""
        return f"{self.bin}/scriptflow"

    @property
    def python(self) -> str:
        """The interpreter that runs it."""
        return f"{self.bin}/python"

    def versions(self) -> dict[str, str]:
        """Return the first line of every program's ``--version``."""
        found = {"python": sys.version.split()[0]}
        for name, path in self.paths.items():
            found[name] = _output(path, "--version").splitlines()[0].removeprefix("GNU Make ")
        return found

    def _install_ours(self) -> str:
        """Install a wheel of the working tree; an editable install would add 10 ms to every start."""
        place = _environment(f"{self.folder}/venv")
        tree = f"{self.folder}/tree"
        shutil.rmtree(tree, ignore_errors=True)
        os.mkdir(tree)
        for name in _SOURCES:
            source = f"{PROJECT}/{name}"
            if os.path.isdir(source):
                shutil.copytree(source, f"{tree}/{name}", ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree)
        # First with what it needs, then again by itself: of an equal version pip would keep the older copy.
        _pip(place, tree)
        _pip(place, "--no-deps", "--force-reinstall", tree)
        return f"{place}/bin"

    def _from_system(self, name: str) -> None:
        if shutil.which(name) is None and os.geteuid() == 0 and shutil.which("apt-get"):
            for words in (("update", "-q"), ("install", "-y", "-q", "--no-install-recommends", _PACKAGES[name])):
                subprocess.run(("apt-get", *words), check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        path = shutil.which(name)
        if path is None:
            self.missing.append(
                f"{name} is not on this machine (package {_PACKAGES[name]}): its comparisons are left out"
            )
        else:
            self.paths[name] = path

    def _from_pip(self, name: str) -> None:
        try:
            place = _environment(f"{self.folder}/venv-{name}")
            if not os.path.exists(f"{place}/bin/{name}"):
                _pip(place, name)
        except subprocess.CalledProcessError as error:
            self.missing.append(f"pip could not install {name}: its comparisons are left out ({error})")
        else:
            self.paths[name] = f"{place}/bin/{name}"


def _environment(place: str) -> str:
    if not os.path.exists(f"{place}/bin/pip"):
        subprocess.run((sys.executable, "-m", "venv", place), check=True)
    return place


def _pip(place: str, *words: str) -> None:
    done = subprocess.run((f"{place}/bin/pip", "install", "-q", "--disable-pip-version-check", *words),
                          check=False, capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:])
        done.check_returncode()


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout


def _compile_stamp(folder: str) -> str:
    """Return a program that writes when it began and ended: a static one, else what the shell can do."""
    source, target = f"{os.path.dirname(os.path.abspath(__file__))}/stamp.c", f"{folder}/stamp"
    if os.path.exists(target):
        return target
    compiler = shutil.which("cc") or shutil.which("gcc")
    for options in (("-static",), ()) if compiler else ():
        done = subprocess.run((str(compiler), "-O2", *options, "-o", target, source), check=False, capture_output=True)
        if done.returncode == 0:
            return target
    with open(target, "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\nbegan=$(date +%s%N)\necho "$began $(date +%s%N)" >"$1"\n')
    os.chmod(target, 0o755)
    return target
