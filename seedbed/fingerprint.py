"""What our code does, as one digest: it changes with the code that computes, not with what is written about it.

Results are kept under it, so that an edit of a comment recomputes nothing and a change of what is computed recomputes what
depends on it. Source files are read, and none is imported.

A process goes on with the code that it found when it began. This module is the first of ours that is imported, and remembers all
sources, so that `running` can tell whether what is on disk is what runs.
"""

from __future__ import annotations

import ast
import hashlib
import os
import socket
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from seedbed.errors import MachineError

ROOT = Path(__file__).parents[1]
PACKAGES = ("seedbed", "stages")
CARRIERS = frozenset(  # they carry results and change none, nor does what only they import
    {
        *PACKAGES,
        *("seedbed.artifacts", "seedbed.store", "seedbed.shards", "seedbed.stage", "seedbed.executor", "seedbed.progress"),
        *("seedbed.errors", "seedbed.params", "seedbed.methods", "seedbed.fingerprint", "seedbed.raw"),
    }
)
POSITIONS_AND_HINTS = frozenset({"lineno", "col_offset", "end_lineno", "end_col_offset", "type_comment", "kind"})


class Source(NamedTuple):
    """A file of ours."""

    file: Path
    content: bytes
    text: str  # the content without what changes nothing


def digest(modules: Iterable[str], *, root: Path = ROOT) -> str:
    """SHA-256 of these modules and of all of ours that importing them runs, whatever their order, layout and comments.

    Only imports that are written down are followed: `seedbed.methods` imports methods by name, so name these as well.
    """
    return _digest(_sources(modules, root, without=CARRIERS))


class Code(NamedTuple):
    """What a process runs."""

    modules: tuple[str, ...]
    digest: str  # of what computes
    whole: str  # also of what carries results


@cache
def running(modules: tuple[str, ...]) -> Code:
    """What this process runs, refused where it cannot be known. Called once the modules are imported: later edits change nothing here."""
    sources = _sources((*modules, *sorted(CARRIERS)), ROOT)
    for source in sources.values():
        if _AT_FIRST.get(source.file) != source.content:
            raise MachineError(
                str(source.file),
                found=f"code that was changed while process {os.getpid()} on {socket.gethostname()} was running",
                expected="the code that it began with",
                do="run it again; dask workers must be restarted first",
            )
    return Code(modules, _digest(_sources(modules, ROOT, without=CARRIERS)), _digest(sources))


def _sources(modules: Iterable[str], root: Path, *, without: frozenset[str] = frozenset()) -> dict[str, Source]:
    named = sorted(set(modules))
    for name in named:
        if _file(name, root) is None:
            raise ModuleNotFoundError(f"{name}: no module of {' or '.join(PACKAGES)} below {root}", name=name)
    found: dict[str, Source] = {}
    left = {one for name in named for one in _with_packages(name)}
    while left:
        name = left.pop()
        file = _file(name, root)
        if file is None or name in without:  # a folder without __init__.py, a function, or somebody else's module
            continue
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        content = file.read_bytes()
        text, mentioned = _taken_apart(content, package, str(file))
        found[name] = Source(file, content, text)
        left |= mentioned - set(found)
    return found


def _digest(sources: dict[str, Source]) -> str:
    return hashlib.sha256("".join(f"{name} {sources[name].text}\n" for name in sorted(sources)).encode()).hexdigest()


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


_AT_FIRST = {file: file.read_bytes() for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
