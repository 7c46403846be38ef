"""`seedbed recipe`: settings of a published work, or for a kind of data, laid over params.yaml.

A recipe is a file of recipes/ with sections of params.yaml. It gives every value of what it selects, so that what params.yaml said before
plays no part. It begins with comments: the first line says what it is, those after `next:` what is left to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from seedbed.errors import ParamsError, join_names, nearest
from seedbed.params import Params
from seedbed.tools import editing

RECIPES = Path("recipes")
NETWORKS = ("network", "backbone", "architecture")  # what a network is called beside its initial weights


def names() -> list[str]:
    """Recipes of this project."""
    return sorted(file.stem for file in RECIPES.glob("*.yaml"))


def listing() -> Iterator[str]:
    """Every recipe with what it is."""
    editing.check_checkout()
    for name in names():
        yield f"{name}: {''.join(header(name)[:1])}"


def header(name: str) -> list[str]:
    """The comments with which a recipe begins, line by line."""
    lines = _file(name).read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines)]


def laid(name: str) -> Iterator[str]:
    """Lay a recipe over params.yaml, and say what that changes and what is left to do."""
    editing.check_checkout()
    Params.read(_file(name))  # which says what is wrong with it
    recipe, content = editing.load(_file(name)), editing.load()
    before = dict(_values(editing.plain(content)))
    for family, section in recipe.items():
        own = content.setdefault(family, {})
        for key, value in section.items():
            editing.assign(own, key, value)
    after = dict(_values(editing.plain(content)))
    for address, value in _values(editing.plain(recipe)):
        if after[address] != value:
            found = f"{_write_value(after[address])}, which an alias (*) takes from elsewhere"
            raise ParamsError(f"{editing.PARAMS}: {address}", found=found, expected="a value of its own", do="write it out")
    changes = list(_changes(before, after))
    if changes:
        editing.put(content)
    yield from changes or ["nothing to change"]
    for what in _left(recipe, header(name)):
        yield f"next: {what}"


def _file(name: str) -> Path:
    if name not in names():
        raise ParamsError(
            f"seedbed recipe {name}",
            found="no such recipe",
            expected=f"one of: {join_names(names())}{nearest(name, names())}",
            do="run `seedbed recipe` to see what each is",
        )
    return RECIPES / f"{name}.yaml"


def _values(content: Any, address: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its address; a list is one."""
    if isinstance(content, Mapping) and (content or not address):
        for name, value in content.items():
            yield from _values(value, f"{address}.{name}" if address else str(name))
    else:
        yield address, content


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for address in [*after, *(one for one in before if one not in after)]:
        old, new = (_write_value(one[address]) if address in one else "nothing" for one in (before, after))
        if old != new:
            yield f"{address}: {old} -> {new}"


def _write_value(value: Any) -> str:
    """A value as YAML has it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_write_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value != "" else '""'


def _left(recipe: Mapping[str, Any], comments: list[str]) -> Iterator[str]:
    """What is left to do once a recipe is laid."""
    yield from (line.removeprefix("next:").strip() for line in comments if line.startswith("next:"))
    root = Params.read().raw_root()
    if not root.is_dir():
        yield f"{root} is not there: put the data there, or a symbolic link to it"
    sources = list(dict.fromkeys(_weights(recipe)))  # each once
    if downloaded := [name for source, name in sources if source == "hub"]:
        yield f"weights are downloaded when they are first used: {join_names(downloaded)}; docs/weights.md says how to use files instead"
    for file in (name for source, name in sources if source == "file"):
        yield f"let initial_weights name your copy of {file}, and its sha256"
    yield "run `seedbed plan`, then `dvc repro`"


def _weights(content: Any) -> Iterator[tuple[str, str]]:
    """Where each network's weights come from, and the network's name, or the file's."""
    if isinstance(content, Mapping):
        if weights := content.get("initial_weights"):
            network = next(str(content[name]) for name in NETWORKS if name in content)
            yield weights["source"], weights["file"] or network
        for value in content.values():
            yield from _weights(value)
