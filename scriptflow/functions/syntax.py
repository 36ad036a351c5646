"""What a function's code is: its own syntax tree and what it uses of its project, without comments and positions.

Reads source files and knows where names come from; runs nothing, and knows nothing of tasks. Names are followed from
the function through the top of its module, and through imports of modules below the project's folder. What is reached
by ``getattr``, by strings or through objects is not seen.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FunctionType
    from typing import Any

_BLOCKS = (ast.If, ast.Try, ast.With, ast.For, ast.While)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LOADS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")
_modules: dict[str, _Module | None] = {}


class _Module:
    """A module's source: what each name at its top is bound to, in order."""

    def __init__(self, name: str, file: str) -> None:
        self.name = name
        self.file = file
        with open(file, "rb") as source:
            self.tree = ast.parse(source.read(), file)
        self.bindings: dict[str, list[ast.stmt]] = {}
        self.stars: list[ast.ImportFrom] = []
        for statement in _statements(self.tree.body):
            for bound in _bound_by(statement):
                self.bindings.setdefault(bound, []).append(statement)
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.stars.append(statement)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements at a module's top, those in its blocks too."""
    for statement in body:
        if isinstance(statement, _BLOCKS):
            for part in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, part, []))
            for handler in getattr(statement, "handlers", []):
                yield from _statements(handler.body)
        else:
            yield statement


def _bound_by(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds."""
    if isinstance(statement, _DEFINITIONS):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names if alias.name != "*"}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


class _Walk:
    """Gathers the pieces of one function's code.

    Args:
        folder: the project's: what lies elsewhere is not its code.
        is_ours: whether a decorator, in a module of that name, is the mark of a task.
    """

    def __init__(self, folder: str, is_ours: Callable[[ast.expr, str], bool]) -> None:
        self.folder = folder
        self.is_ours = is_ours
        self.pieces: dict[tuple[str, str], str] = {}

    def add(self, module: _Module, name: str, statements: list[ast.stmt]) -> None:
        """Take in what a name is bound to, and all that it uses."""
        key = (os.path.relpath(module.file, self.folder), name)
        if key in self.pieces:
            return
        plain = [self._plain(statement, module) for statement in statements]
        self.pieces[key] = "\n".join([ast.unparse(statement) for statement in plain])
        for chain in _chains(plain):
            self._follow(module, chain)
        for node in [node for statement in plain for node in ast.walk(statement)]:
            if isinstance(node, ast.Import | ast.ImportFrom):  # within a function
                for bound in _bound_by(node):
                    for chain in _attributes(plain, {bound}):
                        self._follow_import(module, node, bound, list(chain[1:]))

    def _plain(self, statement: ast.stmt, module: _Module) -> ast.stmt:
        """Return a copy without docstrings and without the marks of tasks."""
        copy: ast.stmt = ast.parse(ast.unparse(statement)).body[0]
        for node in ast.walk(copy):
            if isinstance(node, _DEFINITIONS):
                node.decorator_list = [mark for mark in node.decorator_list if not self.is_ours(mark, module.name)]
                first = node.body[0]
                if (
                    isinstance(first, ast.Expr)
                    and isinstance(first.value, ast.Constant)
                    and isinstance(first.value.value, str)
                ):
                    node.body = node.body[1:] or [ast.Pass()]
        return ast.fix_missing_locations(copy)

    def _follow(self, module: _Module, chain: tuple[str, ...]) -> None:
        """Find what ``a.b.c`` means in a module, as far as it is of the project."""
        name, *rest = chain
        statements = module.bindings.get(name)
        if statements is None:
            for star in module.stars:
                source = self._module(_absolute(star, module.name))
                if source is not None and name in source.bindings:
                    self._follow(source, chain)
            return
        imports = [statement for statement in statements if isinstance(statement, ast.Import | ast.ImportFrom)]
        for statement in imports:
            self._follow_import(module, statement, name, rest)
        if own := [statement for statement in statements if statement not in imports]:
            self.add(module, name, own)

    def _follow_import(
        self, module: _Module, statement: ast.Import | ast.ImportFrom, name: str, rest: list[str]
    ) -> None:
        alias = next(alias for alias in statement.names if (alias.asname or alias.name.partition(".")[0]) == name)
        if isinstance(statement, ast.Import):
            self._follow_module(alias.name if alias.asname else name, rest)
            return
        base = _absolute(statement, module.name)
        source = self._module(base)
        if source is not None and alias.name in source.bindings:
            self._follow(source, (alias.name, *rest))
        else:
            self._follow_module(f"{base}.{alias.name}", rest)

    def _follow_module(self, name: str, rest: list[str]) -> None:
        source = self._module(name)
        while rest and (inner := self._module(f"{name}.{rest[0]}")) is not None:
            name, rest, source = f"{name}.{rest[0]}", rest[1:], inner
        if source is not None and rest:
            self._follow(source, tuple(rest))

    def _module(self, name: str) -> _Module | None:
        """Return a module of the project, None for any other."""
        if name in sys.modules:
            files = [getattr(sys.modules[name], "__file__", None)]
        else:  # imported within a function that has not run here
            path = os.path.join(self.folder, *name.split("."))
            files = [f"{path}.py", os.path.join(path, "__init__.py")]
        file = next((file for file in files if file and os.path.isfile(file)), None)
        return module_at(name, file) if file and is_of_project(file, self.folder) else None


def module_at(name: str, file: str) -> _Module | None:
    """Return a module's source, read once in a process; None when it cannot be read."""
    if file not in _modules:
        try:
            _modules[file] = _Module(name, file)
        except (OSError, SyntaxError, ValueError):
            _modules[file] = None
    return _modules[file]


def is_of_project(file: str, folder: str) -> bool:
    """Whether a source file is the project's own: below its folder, and not installed there."""
    path = os.path.abspath(file)
    inside = path.startswith(folder.rstrip(os.sep) + os.sep) and path.endswith(".py")
    return inside and not {"site-packages", "dist-packages"} & set(path.split(os.sep))


def _absolute(statement: ast.ImportFrom, importer: str) -> str:
    """Return the full name of the module that ``from X import`` names."""
    if not statement.level:
        return statement.module or ""
    module = sys.modules.get(importer)
    package = getattr(module, "__package__", None) or importer.rpartition(".")[0]
    parts = package.split(".")
    base = ".".join(parts[: len(parts) - statement.level + 1])
    return f"{base}.{statement.module}" if statement.module else base


def _chains(statements: list[ast.stmt]) -> set[tuple[str, ...]]:
    """Return what statements read of their module: names, with the attributes that follow them."""
    code = compile(ast.Module(statements, []), "<code>", "exec", dont_inherit=True)
    return _attributes(statements, set(_names(code)))


def _attributes(statements: list[ast.stmt], names: set[str]) -> set[tuple[str, ...]]:
    """Return where statements say one of ``names``, each with the attributes behind it."""
    chains: set[tuple[str, ...]] = set()
    for node in [node for statement in statements for node in ast.walk(statement)]:
        attributes: list[str] = []
        at: ast.AST = node
        while isinstance(at, ast.Attribute):
            attributes.insert(0, at.attr)
            at = at.value
        if isinstance(at, ast.Name) and at.id in names:
            chains.add((at.id, *attributes))
    return chains


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that code reads from its module, nested functions' too."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in _LOADS:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            yield from _names(constant)


class Code:
    """A function's code: its ``text`` and the ``digest`` of it."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def code_of_function(function: FunctionType, folder: str, is_ours: Callable[[Any, str], bool]) -> Code:
    """Return a function's code as far as it lies below ``folder``.

    The bytecode stands in where there is no source.
    """
    raw = function.__code__
    module = module_at(function.__module__, raw.co_filename)
    statements = _find(module, function) if module is not None else []
    if module is None or not statements:
        return Code(f"# no source\n{raw.co_code.hex()}\n{raw.co_consts!r}\n{raw.co_names!r}\n")
    walk = _Walk(folder, is_ours)
    walk.add(module, function.__qualname__, statements)
    first = next(iter(walk.pieces))
    parts = [first, *sorted(walk.pieces.keys() - {first})]
    return Code("".join([f"# {file}: {name}\n{walk.pieces[file, name]}\n\n" for file, name in parts]))


def _find(module: _Module, function: FunctionType) -> list[ast.stmt]:
    """Return the definition of a function: of several of one name, the one at its line."""
    line = function.__code__.co_firstlineno
    name = function.__name__
    found = [
        node
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    here = [node for node in found if min([node.lineno, *(mark.lineno for mark in node.decorator_list)]) == line]
    return list(here[:1])
