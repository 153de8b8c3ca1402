"""Whether a name in a plans file stands for a class of a known package, told from that package's source.

Nothing is imported but the package's own top level: the source files are parsed, and a dotted name must lead to a class
that is defined (or re-exported) inside the package.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

PACKAGES = ("impulse_nnunet", "nnunetv2", "dynamic_network_architectures")
TORCH_LAYER = re.compile(r"torch\.nn\.(modules\.[a-z_]+\.)?[A-Z][A-Za-z0-9]+")
LONGEST_CHAIN = 5  # re-exports


def is_known_class(dotted: str) -> bool:
    """Whether ``package.module.Class`` is a layer of torch.nn or a class in the source of one of :data:`PACKAGES`."""
    if TORCH_LAYER.fullmatch(dotted):
        return True
    parts = dotted.split(".")
    if len(parts) < 2 or parts[0] not in PACKAGES or not all(part.isidentifier() for part in parts):
        return False
    return _defined_in(".".join(parts[:-1]), parts[-1])


def is_defined_below(package: str, name: str, kind: type[ast.AST]) -> bool:
    """Whether a class or function of this name is defined in a file of a package's folder or the folders below it.

    nnU-Net finds the classes that plans name in just this way, in ``nnunetv2.imageio`` for example.
    """
    folder = _place(package)
    if not name.isidentifier() or folder is None:
        return False
    return any((kind, name) in _definitions(file) for file in sorted(folder.parent.rglob("*.py")))


def _defined_in(module: str, name: str, chain: int = 0) -> bool:
    """Whether a module of a known package defines a class, or takes it from one of a known package that does."""
    file = _place(module) if module.split(".")[0] in PACKAGES and chain < LONGEST_CHAIN else None
    if file is None:
        return False
    if (ast.ClassDef, name) in _definitions(file):
        return True
    return any(_defined_in(origin, original, chain + 1) for origin, original in _imports(file, module).get(name, ()))


def _place(module: str) -> Path | None:
    """The source file of a module, found without importing more than its top-level package."""
    top, *below = module.split(".")
    spec = importlib.util.find_spec(top)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        path = Path(folder, *below)
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if candidate.is_file():
                return candidate
        if path.is_dir():
            return path / "__init__.py"  # a folder without one; its place counts
    return None


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])


@cache
def _definitions(file: Path) -> frozenset[tuple[type[ast.AST], str]]:
    body = _tree(file).body
    return frozenset((type(node), node.name) for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef))


def _imports(file: Path, module: str) -> dict[str, list[tuple[str, str]]]:
    """Names that a file takes from other modules: name here -> (module, name there)."""
    found: dict[str, list[tuple[str, str]]] = {}
    here = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in _tree(file).body:
        if isinstance(node, ast.ImportFrom):
            base = here[: len(here) + 1 - node.level] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                found.setdefault(alias.asname or alias.name, []).append((origin, alias.name))
    return found
