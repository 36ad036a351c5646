"""What import-linter cannot say: who imports the root, how big rooms may grow, what a start may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "scriptflow"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "templates" not in path.parts)
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]
each_module = pytest.mark.parametrize("module", MODULES, ids=NAMES)

HEAVY = {"aiohttp", "asyncio", "asyncssh", "jinja2", "psutil", "pydantic", "rich", "ruamel", "sqlite3"}


def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(), filename=str(module))


def root_names_taken(tree: ast.Module) -> set[str]:
    """Return what a module takes from the package's root; a room of the package is not one of its names."""
    taken = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            taken.update(alias.name for alias in node.names if alias.name == "scriptflow")
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "scriptflow":
            taken.update(alias.name for alias in node.names)
    return {name for name in taken if not (PACKAGE / f"{name}.py").exists() and not (PACKAGE / name).is_dir()}


@each_module
def test_no_module_inside_the_package_imports_its_root(module: Path) -> None:
    assert root_names_taken(tree_of(module)) == set()


@each_module
def test_every_module_opens_with_a_sentence(module: Path) -> None:
    opening = ast.get_docstring(tree_of(module))
    assert opening, "no docstring"
    assert opening.split("\n\n")[0].rstrip().endswith("."), opening


@each_module
def test_no_module_is_longer_than_400_lines(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 400


@each_module
def test_no_function_is_longer_than_60_lines(module: Path) -> None:
    functions = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    too_long = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in too_long.items() if lines > 60} == {}


def test_the_core_stays_below_2700_lines() -> None:
    sizes = {str(path): len(path.read_text().splitlines()) for path in (PACKAGE / "core").rglob("*.py")}
    assert sum(sizes.values()) <= 2700


def test_our_packages_folders_are_not_empty_rooms() -> None:
    for folder in PACKAGE.iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert any(path.suffix == ".py" and path.name != "__init__.py" for path in folder.iterdir()), folder


def modules_loaded_by(arguments: list[str], folder: Path) -> set[str]:
    """Run the command line in a child and return every module it had loaded at its end."""
    listing = folder / "modules.txt"
    program = (
        "import sys, os\n"
        f"sys.argv = ['scriptflow', *{arguments!r}]\n"
        "from scriptflow.cli.main import main\n"
        "try:\n    code = main()\n"
        "except SystemExit as end:\n    code = end.code\n"
        f"open({str(listing)!r}, 'w').write('\\n'.join(sys.modules))\n"
        "sys.exit(code)\n"
    )
    child = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stdout + child.stderr
    return set(listing.read_text().split())


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    assert tops(modules_loaded_by(["--help"], tmp_path)) & HEAVY == set()


@pytest.mark.parametrize("command", ["run", "list", "status", "doctor"])
def test_help_of_a_command_loads_nothing_heavy(command: str, tmp_path: Path) -> None:
    assert tops(modules_loaded_by([command, "--help"], tmp_path)) & HEAVY == set()


def test_a_run_with_nothing_to_do_loads_nothing_it_does_not_need(tmp_path: Path) -> None:
    (tmp_path / "sflow.py").write_text(
        "import scriptflow as sf\n\n\nasync def flow_one():\n"
        "    await sf.Task(['sh', '-c', 'echo 1 > one.txt'], outputs='one.txt')\n"
    )
    modules_loaded_by(["run"], tmp_path)
    loaded = tops(modules_loaded_by(["run"], tmp_path))
    assert loaded & ((HEAVY - {"sqlite3"}) | {"dataclasses"}) == set()
