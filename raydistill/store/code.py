"""The meaning of code as a hash: an asset that other code would make is another asset.

What counts is the syntax tree without comments, docstrings and imports, so that a better comment,
or a module that moves, retrains nothing. Which modules take part is found by following imports, so
that none can be forgotten.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

OURS = __name__.partition(".")[0]


def code_version(*modules: ModuleType, without: tuple[str, ...] = ()) -> str:
    """A hash of what modules, and all modules that they import, compute: 16 hexadecimal digits.

    Followed are imports of this package and of the package that a module itself belongs to (for
    models of a user's own), wherever they stand; those under `if TYPE_CHECKING` compute nothing.

    Args:
        modules: where to start.
        without: names of modules or packages that are not followed, since what they do does not
            change the asset: decoding, for a teacher's weights.

    Raises:
        ValueError: a module has no source file, so that a change of it would pass unseen.
    """
    for module in modules:
        if _path_of(module.__name__) is None:
            raise ValueError(
                f"{module.__name__}: this module has no source file to take a hash of; put the "
                "model into a file"
            )
    names: dict[str, None] = {}
    waiting = [module.__name__ for module in modules]
    while waiting:
        name = waiting.pop()
        if name in names or any(name == w or name.startswith(f"{w}.") for w in without):
            continue
        names[name] = None
        waiting += _imports_of(name)
    # In the order of the meanings, not of the names: a module that moves is the same module.
    return _digest("".join(sorted(_meaning_of(name) for name in names)))[:16]


def module_of(model: object) -> ModuleType:
    """The module that defines the class of a model or of its configuration."""
    return sys.modules[type(model).__module__]


@cache
def _meaning_of(name: str) -> str:
    tree = _tree_of(name)
    return "" if tree is None else _digest(ast.dump(_Meaning().visit(tree)))


@cache
def _imports_of(name: str) -> tuple[str, ...]:
    tree = _tree_of(name)
    if tree is None:
        return ()
    roots = {OURS, name.partition(".")[0]}
    return tuple(found for found in _imported(tree, name) if found.partition(".")[0] in roots)


def _imported(tree: ast.Module, name: str) -> Iterator[str]:
    """Every module that a module's code names in an import."""
    for node in ast.walk(_WithoutTypes().visit(tree)):
        if isinstance(node, ast.Call) and _is_import(node):
            yield node.args[0].value  # type: ignore[attr-defined]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, name)
            yield base
            # What is imported from a package may be a module of it.
            yield from (
                f"{base}.{alias.name}" for alias in node.names if _path_of(f"{base}.{alias.name}")
            )


def _is_import(call: ast.Call) -> bool:
    """Whether it is `importlib.import_module("a.name")`, by which slow imports are put off."""
    function, name = call.func, call.args[0] if call.args else None
    said = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return (
        said == "import_module" and isinstance(name, ast.Constant) and isinstance(name.value, str)
    )


def _absolute(node: ast.ImportFrom, name: str) -> str:
    if not node.level:
        return node.module or ""
    path = _path_of(name)
    package = name if path and path.name == "__init__.py" else name.rpartition(".")[0]
    return importlib.util.resolve_name("." * node.level + (node.module or ""), package)


def _tree_of(name: str) -> ast.Module | None:
    path = _path_of(name)
    return None if path is None else ast.parse(path.read_bytes())


@cache
def _path_of(name: str) -> Path | None:
    """The source file of a module; None if there is none."""
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None):
        origin = loaded.__file__
    else:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, AttributeError, ValueError):
            return None
        origin = spec.origin if spec is not None else None
    path = Path(origin) if origin else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _WithoutTypes(ast.NodeTransformer):
    """Drops what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        test = node.test
        name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
        return node.orelse if name == "TYPE_CHECKING" else self.generic_visit(node)


class _Meaning(_WithoutTypes):
    """Drops imports and docstrings: sentences that stand alone compute nothing."""

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        sentence = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if sentence else self.generic_visit(node)
