"""What our code does, as one digest: it changes with the code that computes, not with what is written about it.

Results are kept under it, so that an edit of a comment recomputes nothing and a change of what is computed recomputes what
depends on it. Source files are read, and none is imported.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("seedbed", "stages")
CARRIERS = frozenset(  # they carry results and change none, nor does what only they import
    {
        *PACKAGES,
        *("seedbed.artifacts", "seedbed.store", "seedbed.shards", "seedbed.stage", "seedbed.executor", "seedbed.progress"),
        *("seedbed.errors", "seedbed.params", "seedbed.methods", "seedbed.fingerprint"),
    }
)
POSITIONS_AND_HINTS = frozenset({"lineno", "col_offset", "end_lineno", "end_col_offset", "type_comment", "kind"})


def digest(modules: Iterable[str], *, root: Path = ROOT) -> str:
    """SHA-256 of these modules and of all of ours that importing them runs, whatever their order, layout and comments.

    Only imports that are written down are followed: `seedbed.methods` imports methods by name, so name these as well.
    """
    named = sorted(set(modules))
    for name in named:
        if _file(name, root) is None:
            raise ModuleNotFoundError(f"{name}: no module of {' or '.join(PACKAGES)} below {root}", name=name)
    texts: dict[str, str] = {}
    left = {one for name in named for one in _with_packages(name)}
    while left:
        name = left.pop()
        file = _file(name, root)
        if file is None or name in CARRIERS:  # a folder without __init__.py, a function, or somebody else's module
            continue
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        texts[name], mentioned = _taken_apart(file.read_bytes(), package, str(file))
        left |= mentioned - set(texts)
    return hashlib.sha256("".join(f"{name} {texts[name]}\n" for name in sorted(texts)).encode()).hexdigest()


def _file(name: str, root: Path) -> Path | None:
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return None
    path = root.joinpath(*parts)
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _with_packages(name: str) -> list[str]:
    """A dotted name, and what importing it runs on the way."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


@cache
def _taken_apart(content: bytes, package: str, file: str) -> tuple[str, frozenset[str]]:
    """A file's text without what changes nothing, and whatever may be a module that it imports."""
    tree = ast.parse(content, file)
    return _canonical(tree), frozenset(one for name in _imports(tree, package) for one in _with_packages(name))


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            around = parts[: len(parts) - node.level + 1] if node.level else []
            yield from (".".join([*around, *filter(None, [node.module]), alias.name]) for alias in node.names)


def _canonical(value: object) -> str:
    """A piece of a syntax tree as text of the same kind from every Python; '' for what says nothing.

    `ast.dump` is not used: what it leaves out differs from version to version.
    """
    if isinstance(value, ast.JoinedStr):  # Python 3.12 has empty strings between its pieces, others have not
        value = ast.JoinedStr([piece for piece in value.values if not (isinstance(piece, ast.Constant) and piece.value == "")])
    if isinstance(value, ast.AST):
        fields = ((name, _canonical(part)) for name, part in ast.iter_fields(value) if part is not None)
        kept = (f"{name}={text}" for name, text in fields if text and name not in POSITIONS_AND_HINTS)
        return f"{type(value).__name__}({' '.join(kept)})"
    if isinstance(value, list):
        parts = [_canonical(part) for part in value if not _is_text_alone(part)]
        return f"[{' '.join(parts)}]" if parts else ""
    return ascii(value)  # not repr: which letters that shows as they are grows with Unicode


def _is_text_alone(node: object) -> bool:
    """Whether it is a docstring, or another string that stands for a comment."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
