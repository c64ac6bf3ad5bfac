"""A fingerprint of the code a step runs: its shell and every `rl` and `schemas` module that it reaches.

Modules are hashed as syntax trees without docstrings, so that a comment, a blank line or a docstring retrains
nothing and an edited helper does. Reached means by an import anywhere, inside functions too; an import by a
computed name is not seen, so do not use one in `rl` or `schemas`. Other shells and helpers in `tasks` do not
count: what a step computes belongs into `rl` or `schemas`. The one exception is the report, whose pages are a
step's result: `tasks.report` counts with its templates.

The sources are read once per process, at the first question: the code that runs was imported about then.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tasks.files import canonical_json, sha256_text

_PACKAGES: Final = ("tasks", "rl", "schemas")
_COUNTED: Final = ("rl", "schemas", "tasks.report")
_DATA_SUFFIXES: Final = frozenset({".css", ".csv", ".html", ".j2", ".js", ".json", ".svg", ".toml"})


@dataclass(frozen=True)
class _Source:
    """One file as it was when this process first asked."""

    path: Path
    data: bytes

    @cached_property
    def meaning(self) -> str:
        """A hash of what the file means: its syntax where it is Python, else its bytes."""
        return _meaning(self.path, self.data)


@dataclass(frozen=True)
class _Tree:
    """Every module of the packages with what it imports of them, and the data files beside it."""

    imports: dict[str, frozenset[str]]
    modules: dict[str, _Source]
    data: dict[str, tuple[_Source, ...]]  # by the package they lie in


@cache
def code_fingerprint(*modules: str) -> str:
    """Return a sha256 over the code that a step's modules run.

    Args:
        modules: Full names, such as `tasks.training`.

    Raises:
        ValueError: There is no such module in `tasks`, `rl` or `schemas`.
    """
    meanings = {name: source.meaning for name, source in _reached(modules).items()}
    return sha256_text(canonical_json(meanings))


def edited_since(*modules: str) -> list[str]:
    """List the files behind `code_fingerprint` whose meaning on disk has changed since they were read.

    What a process computes from then on may be neither the old code's result nor the new one's.
    """
    edited = []
    for source in _reached(modules).values():
        try:
            now = source.path.read_bytes()
            same = now == source.data or _meaning(source.path, now) == source.meaning
        except (FileNotFoundError, SyntaxError):
            same = False
        if not same:
            edited.append(str(source.path))
    return edited


@cache
def _reached(modules: tuple[str, ...]) -> dict[str, _Source]:
    """Return every file that counts, by module name or, for data, by package and file name."""
    tree = _tree()
    for name in modules:
        if name not in tree.modules:
            raise ValueError(f"there is no module {name!r} in {', '.join(_PACKAGES)}")
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        # Importing a module runs the packages it lies in first, and what those import.
        parents = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
        waiting += [other for other in tree.imports[name] | parents if _counts(other)]
    reached = {name: tree.modules[name] for name in seen}
    for package in {_package(name, tree.modules[name].path) for name in seen if _counts(name)}:
        reached |= {f"{package}/{source.path.name}": source for source in tree.data[package]}
    return dict(sorted(reached.items()))


def _counts(module: str) -> bool:
    return any(module == counted or module.startswith(f"{counted}.") for counted in _COUNTED)


def _package(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


@cache
def _tree() -> _Tree:
    from grimp import build_graph  # 0.2 s to import, and most commands never ask

    graph = build_graph(*_PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    imports: dict[str, frozenset[str]] = {}
    modules: dict[str, _Source] = {}
    data: dict[str, tuple[_Source, ...]] = {}
    for name in graph.modules:
        path = _path(name)
        if path is None:
            continue  # a folder without an __init__.py: no code of its own
        imports[name] = frozenset(graph.find_modules_directly_imported_by(name))
        modules[name] = _Source(path, path.read_bytes())
        if path.name == "__init__.py":
            beside = (p for p in sorted(path.parent.iterdir()) if p.suffix in _DATA_SUFFIXES)
            data[name] = tuple(_Source(p, p.read_bytes()) for p in beside if not p.name.startswith("."))
    return _Tree(imports, modules, data)


def _path(module: str) -> Path | None:
    """Return a module's file without importing it or the packages it lies in."""
    top, *rest = module.split(".")
    base = Path(_package_folder(top), *rest)
    candidates = (base / "__init__.py", base.with_suffix(".py") if rest else base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


@cache
def _package_folder(package: str) -> str:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"the package {package!r} is not installed")
    return spec.submodule_search_locations[0]


def _meaning(path: Path, data: bytes) -> str:
    if path.suffix != ".py":
        return hashlib.sha256(data).hexdigest()
    words: list[str] = []
    _spell(ast.parse(data, filename=str(path)), words)
    return sha256_text("\n".join(words))


def _spell(node: ast.AST, words: list[str]) -> None:
    """Append a syntax tree without positions and docstrings; `ast.dump` after a walk takes thrice as long."""
    words.append(node.__class__.__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            _spell(value, words)
        elif isinstance(value, list):
            words.append("[")
            for item in value[1:] if name == "body" and _documented(node) else value:
                if isinstance(item, ast.AST):
                    _spell(item, words)
                else:
                    words.append(repr(item))
            words.append("]")
        else:
            words.append(repr(value))


def _documented(node: ast.AST) -> bool:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        match node.body:
            case [ast.Expr(value=ast.Constant(value=str())), *_]:
                return True
    return False
