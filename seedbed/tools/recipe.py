"""`seedbed recipe`: lays a recipe over params.yaml, or adds the block of one method to it.

A recipe gives every value of what it selects, so the previous content of params.yaml does not matter: further rounds that it does not have
are gone. A block selects nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from seedbed.errors import ParamsError, join_names, nearest
from seedbed.params import Params
from seedbed.store.schemas import find_kind
from seedbed.tools import editing
from seedbed.tools.dependencies import list_kinds
from seedbed.tools.recipe_files import Recipe, find_weights, list_blocks, list_recipes, read_block, read_recipe
from seedbed.tools.rounds import fit_pipeline, list_further

FINALLY = "run `seedbed plan`, then `dvc repro`"


def lay(name: str) -> Iterator[str]:
    """Lay a recipe over params.yaml, or add a method's block, and say what that changes and what is left to do."""
    editing.check_checkout()
    section, _, method = name.partition(".")
    if name in list_recipes():
        yield from _lay_recipe(read_recipe(name))
    elif (address := f"{find_kind(section)}.{method}") in list_blocks():
        yield from _lay_block(read_block(address), section, method)
    else:
        blocks = "." in name
        known = list_blocks() if blocks else list_recipes()
        raise ParamsError(
            f"seedbed recipe {name}",
            found="no such block" if blocks else "no such recipe",
            expected=f"one of: {join_names(known)}{nearest(name, known)}",
            do="run `seedbed recipe` to see what each is",
        )


def _lay_recipe(recipe: Recipe) -> Iterator[str]:
    recipe.params()  # raises an error if something is wrong with it
    content = editing.load()
    whole = list_kinds() <= {*recipe.sections}
    gone = [name for name in list_further(content) if whole and name not in recipe.sections]
    yield from _write(recipe, content, gone=gone) or ["nothing to change"]
    yield from fit_pipeline()
    for what in _left(recipe):
        yield f"next: {what}"


def _lay_block(block: Recipe, section: str, name: str) -> Iterator[str]:
    content = editing.load()
    if section not in content:
        expected, do = "a section of that name", "run `seedbed round` to add a stage, or restore it from git"
        raise ParamsError(f"{editing.PARAMS}: {section}", found="nothing", expected=expected, do=do)
    if name in (content[section] or {}):
        own = replace(block, sections={section: block.sections[find_kind(section)]})
        yield from _write(own, content) or [f"{section}.{name}: in params.yaml already, with these values"]
    else:
        before = dict(_values(editing.plain(content)))
        editing.insert(section, name, block.file)
        yield from _changes(before, dict(_values(editing.plain(editing.load()))))
    if Params.read().method_name(section) != name:
        yield f"next: to select it, set {section}.method: {name}"
    for what in [*block.tasks, *_say_weights(block), FINALLY]:
        yield f"next: {what}"


def _write(recipe: Recipe, content: Any, *, gone: Collection[str] = ()) -> list[str]:
    """Write a recipe's values into params.yaml. Returns what that changes.

    gone: sections that are taken out.
    """
    before = dict(_values(editing.plain(content)))
    for section in gone:
        del content[section]
    for family, section in recipe.sections.items():
        if family not in content:
            editing.add_section(content, family, CommentedMap())
        for key, value in section.items():
            editing.assign(content[family], key, value)
    after = dict(_values(editing.plain(content)))
    for address, value in _values(editing.plain(recipe.sections)):
        if after[address] != value:
            found = f"{_write_value(after[address])}, which is an alias (*) of another value"
            raise ParamsError(f"{editing.PARAMS}: {address}", found=found, expected="a value of its own", do="write it out")
    changes = list(_changes(before, after))
    if changes:
        editing.put(content)
    return changes


def _values(content: Any, address: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its address; a list is one value."""
    if isinstance(content, Mapping) and (content or not address):
        for name, value in content.items():
            yield from _values(value, f"{address}.{name}" if address else str(name))
    else:
        yield address, content


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for address in [*after, *(one for one in before if one not in after)]:
        old, new = (json.dumps(one[address]) if address in one else "" for one in (before, after))  # true is not 1, nor "1"
        if old != new:
            yield f"{address}: {_write_entry(before, address)} -> {_write_entry(after, address)}"


def _write_entry(values: Mapping[str, Any], address: str) -> str:
    return _write_value(values[address]) if address in values else "nothing"


def _write_value(value: Any) -> str:
    """A value as it is written in YAML."""
    if isinstance(value, list):
        return f"[{', '.join(map(_write_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, str) and editing.parse(value) != value else str(value)


def _left(recipe: Recipe) -> Iterator[str]:
    """What the user still has to do."""
    yield from recipe.tasks
    root = Params.read().raw_root()
    if not root.is_dir():
        yield f"{root} is missing: put the data there, or a symbolic link to it"
    yield from _say_weights(recipe)
    if not any("run `dvc repro" in task for task in recipe.tasks):  # one that runs a part only says which
        yield FINALLY


def _say_weights(recipe: Recipe) -> Iterator[str]:
    """Which weights are needed, and where they come from."""
    sources = list(dict.fromkeys(find_weights(recipe.sections)))  # each once
    if downloaded := [name for source, name in sources if source == "hub"]:
        yield f"weights are downloaded when they are first used: {join_names(downloaded)}; docs/weights.md says how to use files instead"
    for file in (name for source, name in sources if source == "file" and not Path(name).exists()):
        yield f"set initial_weights.file to your copy of {file}, and initial_weights.sha256 to its digest"
