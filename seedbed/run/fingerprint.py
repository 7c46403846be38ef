"""What our code does, as one digest: it changes with the code that computes, not with what is written about it.

Results are kept under it, so that an edit of a comment recomputes nothing and a change of what is computed recomputes what
depends on it. They are kept under the versions of the packages of others that this code computes with, too. Source files are read,
and none is imported.

A process goes on with the code that it found when it began. This module is the first of ours that is imported, and remembers all
sources, so that it can tell whether what is on disk is what runs.
"""

from __future__ import annotations

import ast
import hashlib
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from seedbed.errors import MachineError, join_names
from seedbed.packages import select_computing, versions

ROOT = Path(__file__).parents[2]
PACKAGES = ("seedbed", "stages")
# What carries results, or draws them for people, and changes none: these rooms and words of the vocabulary are not followed, so nor is
# what only they import. `seedbed/reads.py`, which rounds and cuts, belongs to every stage instead.
CARRIERS = tuple(
    f"seedbed.{name}" for name in ("run", "store", "report", "view", "tools", "cli", "errors", "methods", "packages", "params")
)
DECODER = "seedbed.reads"
POSITIONS_AND_HINTS = frozenset({"lineno", "col_offset", "end_lineno", "end_col_offset", "type_comment", "kind"})


class Source(NamedTuple):
    """A file of ours."""

    file: Path
    content: bytes
    text: str  # the content without what changes nothing
    imported: frozenset[str]  # whatever may be a module that it imports


def digest(modules: Iterable[str], *, root: Path = ROOT) -> str:
    """SHA-256 of these modules and of all of ours that importing them runs, whatever their order, layout and comments.

    Only imports that are written down are followed: `seedbed.methods` imports methods by name, so name these as well.
    """
    return _digest(_sources(modules, root, computing_only=True))


def whole_digest(modules: Iterable[str], *, root: Path = ROOT) -> str:
    """The same with what carries results, or draws them."""
    return _digest(_sources(modules, root))


def packages(modules: Iterable[str], *, root: Path = ROOT, at_first: bool = False) -> dict[str, str]:
    """The packages of others that these modules compute with, and which versions of them are installed now.

    at_first: whether by the code that this process began with; what is on disk now somebody may be writing.
    """
    return _packages(_sources(modules, root, computing_only=True, at_first=at_first))


class Code(NamedTuple):
    """What a process runs."""

    modules: tuple[str, ...]
    digest: str  # of what computes
    whole: str  # also of what carries results
    packages: tuple[tuple[str, str], ...]  # of others, with their versions


@cache
def running(modules: tuple[str, ...]) -> Code:
    """What this process runs, refused where it cannot be known. Called once the modules are imported: later edits change nothing here."""
    for file in find_changed(modules):
        raise _changed_error(file)
    _CHECKED.update(_list_loaded())
    sources = _sources(modules, ROOT, computing_only=True)
    return Code(modules, _digest(sources), _digest(_sources(modules, ROOT)), tuple(_packages(sources).items()))


def check_running(code: Code) -> None:
    """Refuse to go on where something may have been computed by other code than what is kept under its name. Called before it is kept.

    A module that is first imported in the midst of a run is the one that is on disk then; packages are imported piece by piece.
    """
    for name, file in _list_loaded().items():
        if name not in _CHECKED and _differs(file):
            raise _changed_error(file)
        _CHECKED.add(name)
    if (now := tuple(packages(code.modules, at_first=True).items())) != code.packages:
        raise MachineError(
            _process(),
            found=f"other packages than when it began: {join_names(other_versions(dict(code.packages), dict(now)))}",
            expected="the same to the end",
            do="run it again",
        )


def startup_digest() -> str:
    """Identity of all sources of ours as they were when this process began, wherever they are."""
    content = hashlib.sha256()
    for file in sorted(_AT_FIRST):
        content.update(f"{file.relative_to(ROOT)} {hashlib.sha256(_AT_FIRST[file]).hexdigest()}\n".encode())
    return content.hexdigest()


def present_digest() -> str:
    """Identity of all sources of ours as they are now."""
    content = hashlib.sha256()
    for file in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        content.update(f"{file} {hashlib.sha256(_present_content(file) or b'').hexdigest()}\n".encode())
    return content.hexdigest()


def check_sources(expected: str) -> None:
    """Refuse to go on where another process, which this one is to help, had begun with other sources."""
    if startup_digest() != expected:
        raise MachineError(_process(), found="other sources than those of the run that it joins", expected="the same", do="run it again")


def other_versions(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """How packages differ, in words."""
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"{name} {now.get(name) or 'missing'} instead of {before.get(name) or 'missing'}"


def find_changed(modules: Iterable[str]) -> list[Path]:
    """Files whose code is no longer what this process found when it began: of these modules, what they import, and what is loaded."""
    sources = _sources(modules, ROOT, at_first=True)
    return sorted(file for file in {*(source.file for source in sources.values()), *_list_loaded().values()} if _differs(file))


def _differs(file: Path) -> bool:
    """Whether a file's code is another by now than when this process began."""
    before, now = _AT_FIRST.get(file), _present_content(file)
    if before == now:
        return False
    try:
        return before is None or now is None or _parse(before, "", str(file))[0] != _parse(now, "", str(file))[0]
    except (SyntaxError, ValueError):  # somebody is writing it
        return True


def _changed_error(file: Path) -> MachineError:
    return MachineError(
        str(file),
        found=f"code that was changed while {_process()} was running",
        expected="the code that it began with",
        do="run it again; dask workers must be restarted first",
    )


def _process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _list_loaded() -> dict[str, Path]:
    """Modules of ours that this process has imported, and their files."""
    ours = [name for name in sys.modules if name.partition(".")[0] in PACKAGES]
    return {name: file for name in ours if (file := _file(name, ROOT, at_first=True)) is not None}


def _present_content(file: Path) -> bytes | None:
    """A file's content; None where there is no such file."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _startup_content(file: Path) -> bytes | None:
    """A file's content when this process began, or now where it was not there then."""
    return found if (found := _AT_FIRST.get(file)) is not None else _present_content(file)


def _sources(modules: Iterable[str], root: Path, *, computing_only: bool = False, at_first: bool = False) -> dict[str, Source]:
    """Modules and all of ours that importing them runs.

    computing_only: without what carries results; at_first: as they were when this process began.
    """
    named = sorted(set(modules))
    for name in named:
        if _file(name, root, at_first=at_first) is None:
            raise ModuleNotFoundError(f"{name}: no module of {' or '.join(PACKAGES)} below {root}", name=name)
    found: dict[str, Source] = {}
    left = {one for name in named for one in _with_packages(name)}
    while left:
        name = left.pop()
        file = _file(name, root, at_first=at_first)
        if file is None or (computing_only and carries(name)):  # else a folder without __init__.py, a function, or somebody else's module
            continue
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        read = _startup_content(file) if at_first else _present_content(file)
        assert read is not None
        text, imported = _parse(read, package, str(file))
        found[name] = Source(file, read, text, imported)
        left |= imported - set(found)
    return found


def find_reached(modules: Iterable[str]) -> set[str]:
    """These modules and all of ours that compute something for them, and which of what carries results they import themselves."""
    sources = _sources(modules, ROOT, computing_only=True)
    return {name for source in sources.values() for name in source.imported if _file(name, ROOT)} | set(sources)


def carries(module: str) -> bool:
    """Whether a module of ours carries results and changes none."""
    return module in PACKAGES or any(module == one or module.startswith(f"{one}.") for one in CARRIERS)


def _digest(sources: dict[str, Source]) -> str:
    return hashlib.sha256("".join(f"{name} {sources[name].text}\n" for name in sorted(sources)).encode()).hexdigest()


def _packages(sources: dict[str, Source]) -> dict[str, str]:
    return versions(select_computing((name for source in sources.values() for name in source.imported), ours=PACKAGES))


def _file(name: str, root: Path, *, at_first: bool = False) -> Path | None:
    """The file of a module of ours; None where it is something else.

    at_first: whether those that were there when this process began are there still, whatever has become of them.
    """
    return next((file for file in _possible_files(name, root) if (at_first and file in _AT_FIRST) or file.is_file()), None)


@cache
def _possible_files(name: str, root: Path) -> tuple[Path, ...]:
    """Where a module of ours may be, or anything in one that is imported by name; kept, because every check asks for hundreds of them."""
    path = root.joinpath(*name.split("."))
    return (path / "__init__.py", path.with_suffix(".py")) if name.partition(".")[0] in PACKAGES else ()


def _with_packages(name: str) -> list[str]:
    """A dotted name, and what importing it runs on the way."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


@cache
def _parse(content: bytes, package: str, file: str) -> tuple[str, frozenset[str]]:
    """A file's text without what changes nothing, and whatever may be a module that it imports."""
    imports: list[ast.Import | ast.ImportFrom] = []
    text = _canonical(ast.parse(content, file), imports)
    return text, frozenset(one for node in imports for name in _name_imported(node, package) for one in _with_packages(name))


def _name_imported(node: ast.Import | ast.ImportFrom, package: str) -> list[str]:
    """What an import names, dotted and whole."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    parts = package.split(".")
    around = parts[: len(parts) - node.level + 1] if node.level else []
    return [".".join([*around, *filter(None, [node.module]), alias.name]) for alias in node.names]


def _canonical(value: object, imports: list[ast.Import | ast.ImportFrom]) -> str:
    """A piece of a syntax tree as text of the same kind from every Python; '' for what says nothing.

    What is said to people says nothing here: the error that is raised, whatever is printed.
    `ast.dump` is not used: what it leaves out differs from version to version. It is done for every process, so it has to be quick.

    imports: those that are met are added to it.
    """
    if isinstance(value, ast.AST):
        if isinstance(value, ast.Raise):
            return "Raise()"
        if isinstance(value, ast.JoinedStr):  # Python 3.12 has empty strings between its pieces, others have not
            value = ast.JoinedStr([piece for piece in value.values if not (isinstance(piece, ast.Constant) and piece.value == "")])
        if isinstance(value, ast.Import | ast.ImportFrom):
            imports.append(value)
        kept = []
        for name in value._fields:
            if (part := getattr(value, name, None)) is not None and name not in POSITIONS_AND_HINTS and (text := _canonical(part, imports)):
                kept.append(f"{name}={text}")
        return f"{type(value).__name__}({' '.join(kept)})"
    if isinstance(value, list):
        parts = [_canonical(part, imports) for part in value if not _only_speaks(part)]
        return f"[{' '.join(parts)}]" if parts else ""
    return ascii(value)  # not repr: which letters that shows as they are grows with Unicode


def _only_speaks(node: object) -> bool:
    """Whether a statement is a docstring, another string that stands for a comment, or prints something."""
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id == "print"
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


_AT_FIRST = {file: file.read_bytes() for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
_CHECKED: set[str] = set()  # modules that were imported as they were when this process began
