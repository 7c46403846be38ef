"""Reads recipes/: settings of whole systems, which may be based on one another, and in recipes/methods/ blocks of single methods.

A recipe has the sections of params.yaml. With `based_on: other` it gives only what differs from that recipe: blocks of parameters are
merged name by name; values, lists, and mappings that are values (`maps`) replace the base's. If a section selects another method than the
base, only that method's block is taken from the base. A further section of a kind (`cams_second`) gives only what differs from the first.
With `blocks: [seeds.psa]` it takes these of recipes/methods, in place of any that the base has.

The comments at the beginning of a file say what it is, and facts in lines of a fixed form: `next:` what the user still has to do, in as
many lines as that takes; `paper:` whose system it is; `published:` figures, as the sources state them; `needs:` what it takes beside data
and weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from seedbed import methods
from seedbed.errors import ParamsError, join_names, nearest
from seedbed.params import Params
from seedbed.store.schemas import find_kind
from seedbed.tools import editing

RECIPES = Path("recipes")
BASED_ON, BLOCKS = "based_on", "blocks"
NEXT = "next:"  # begins comments that say what the user still has to do
PAPER, PUBLISHED, NEEDS = "paper:", "published:", "needs:"  # begin comments that say a fact, in one line each
CITATION = re.compile(r'(?P<author>[^",;]+?)(?: et al\.| and [^",;]+)?, "[^"]+"[^"]*?\b(?P<year>(?:19|20)\d\d)\b')
NETWORKS = ("network", "backbone", "architecture")  # names of the parameter that selects a network, beside its initial weights


@dataclass(frozen=True)
class Recipe:
    """A file of recipes/ merged with the recipes that it is based on."""

    file: Path
    title: str  # the first line of its comments
    tasks: tuple[str, ...]  # what the user still has to do: its own, or else the base's
    paper: str  # its own, or else the base's; several with "; " between them; empty where it follows none
    published: str  # figures, as the sources state them; its own alone
    needs: str  # beside data and weights; its own alone
    own: Any  # sections as written in the file
    sections: Any  # the same merged with the base's

    def plain(self) -> dict[str, Any]:
        """The sections as plain dictionaries, lists, strings and numbers."""
        sections: dict[str, Any] = editing.plain(self.sections)
        return sections

    def params(self) -> Params:
        """The sections as parameters; refuses names that nothing reads."""
        return Params(self.plain(), source=str(self.file))


def list_recipes(folder: Path = RECIPES) -> list[str]:
    """Names of the project's recipes."""
    return sorted(file.stem for file in folder.glob("*.yaml"))


def list_blocks(folder: Path = RECIPES) -> list[str]:
    """Methods whose block has a file, as family.method."""
    return sorted(file.stem for file in (folder / "methods").glob("*.yaml"))


def read_recipe(name: str, *, folder: Path = RECIPES) -> Recipe:
    """Read a recipe and everything that it is based on."""
    return next(read_recipes([name], folder=folder))


def read_recipes(names: Iterable[str], *, folder: Path = RECIPES) -> Iterator[Recipe]:
    """Read recipes and everything that they are based on, each file once."""
    read = cache(lambda name: _read_file(folder / f"{name}.yaml"))
    for name in names:
        files, chain = [read(name)], [name]
        while (base := files[-1].base) is not None:
            chain.append(base)
            _check_base(chain, where=files[-1].file, folder=folder)
            files.append(read(base))
        sections = editing.strip_comments(files[-1].sections)
        for file in reversed(files):
            for address in file.blocks:
                _put_block(sections, address, where=file.file, folder=folder)
            if file is not files[-1]:
                _lay_over(sections, editing.strip_comments(file.sections))
        tasks = next((file.tasks for file in files if file.tasks), ())
        paper = next((file.facts[PAPER] for file in files if PAPER in file.facts), "")
        own = files[0]
        yield Recipe(own.file, own.title, tasks, paper, own.facts.get(PUBLISHED, ""), own.facts.get(NEEDS, ""), own.sections, sections)


def read_block(address: str, *, folder: Path = RECIPES) -> Recipe:
    """Read the file of one method's block.

    address: family.method
    """
    file = _read_file(folder / "methods" / f"{address}.yaml")
    family, _, name = address.partition(".")
    found = [f"{one}.{key}" for one, section in file.sections.items() for key in section]
    if found != [address] or name not in methods.list_available(family):
        raise ParamsError(str(file.file), found=join_names(found), expected=f"the block {address} alone", do="correct it")
    return Recipe(file.file, file.title, file.tasks, "", "", "", file.sections, file.sections)


def find_block(sections: Mapping[str, Any], address: str, *, folder: Path = RECIPES) -> Mapping[str, Any]:
    """A method's parameters: what sections have of them, else its file.

    address: family.method
    """
    family, _, name = address.partition(".")
    block: Mapping[str, Any] | None = sections[family].get(name)
    return block if block is not None else read_block(address, folder=folder).plain()[family][name]


def find_weights(content: Any) -> Iterator[tuple[str, str]]:
    """Where each network's weights come from, and the name of the network or file."""
    if isinstance(content, Mapping):
        if isinstance(weights := content.get("initial_weights"), Mapping):
            network = next((str(content[name]) for name in NETWORKS if name in content), "")
            yield str(weights.get("source", "")), str(weights.get("file", "")) or network
        for value in content.values():
            yield from find_weights(value)


@dataclass(frozen=True)
class _File:
    """The content of one file."""

    file: Path
    title: str
    tasks: tuple[str, ...]
    facts: Mapping[str, str]  # those that there are, by what their lines begin with
    base: str | None
    blocks: tuple[str, ...]  # section.method
    sections: Any


def _read_file(file: Path) -> _File:
    Params.read(file, checked=False)  # raises an error if the file cannot be read
    sections = editing.strip_comments(editing.load(file))
    base = sections.pop(BASED_ON, None)
    if base is not None and not isinstance(base, str):
        raise ParamsError(f"{file}: {BASED_ON}", found=repr(base), expected="the name of a recipe", do="correct it")
    blocks = editing.plain(sections.pop(BLOCKS, []))
    if not isinstance(blocks, list) or not all(isinstance(one, str) for one in blocks):
        raise ParamsError(f"{file}: {BLOCKS}", found=repr(blocks), expected="a list such as [seeds.psa]", do="correct it")
    Params(editing.plain(sections), source=str(file))  # raises an error if it has unknown names
    comments = list(_read_comments(file))
    tasks = tuple(line.removeprefix(NEXT).strip() for line in comments if line.startswith(NEXT))
    return _File(file, "".join(comments[:1]), tasks, dict(_read_facts(file, comments)), base, tuple(blocks), sections)


def _read_comments(file: Path) -> Iterator[str]:
    """The comments at the beginning of a file, line by line."""
    for line in takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines()):
        yield line.removeprefix("#").strip()


def _read_facts(file: Path, comments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Facts of a file: what their lines begin with, and what follows."""
    for fact in (PAPER, PUBLISHED, NEEDS):
        lines = [line.removeprefix(fact).strip() for line in comments if line.startswith(fact)]
        expected = ""
        if len(lines) > 1:
            expected = "one line"
        elif lines == [""]:
            expected = "something, or no such line"
        elif lines and fact == PAPER and not all(map(CITATION.match, lines[0].split("; "))):
            expected = 'authors, "title", where and in which year; with "; " between several'
        if expected:
            raise ParamsError(f"{file}, # {fact.rstrip(':')}", found=" and ".join(map(repr, lines)), expected=expected, do="correct it")
        for said in lines:
            yield fact, said


def _check_base(names: list[str], *, where: Path, folder: Path) -> None:
    """Refuse a base that does not exist, or a cycle of bases.

    names: recipes, each the base of the one before; the last one is checked.
    """
    base, known = names[-1], list_recipes(folder)
    if base not in known:
        raise ParamsError(
            f"{where}: {BASED_ON}", found=repr(base), expected=f"one of: {join_names(known)}{nearest(base, known)}", do="correct it"
        )
    if base in names[:-1]:
        circle = " -> ".join(names[names.index(base) :])
        raise ParamsError(
            f"{where}: {BASED_ON}", found=f"a cycle: {circle}", expected="a recipe that is not based on this one", do="break it"
        )


def _put_block(sections: Any, address: str, *, where: Path, folder: Path) -> None:
    """Put a method's block of recipes/methods into a section, in place.

    address: section.method; where: the file that asks for it.
    """
    section, _, name = address.partition(".")
    kind, known = find_kind(section), list_blocks(folder)
    if (block := f"{kind}.{name}") not in known:
        expected = f"one of: {join_names(known)}{nearest(block, known)}"
        raise ParamsError(f"{where}: {BLOCKS}", found=repr(address), expected=expected, do="correct it")
    own = sections.setdefault(section, editing.strip_comments(sections.get(kind, {})))
    own[name] = editing.strip_comments(read_block(block, folder=folder).sections[kind][name])


def _lay_over(base: Any, sections: Mapping[str, Any]) -> None:
    """Merge sections into the base's, in place."""
    for family, section in sections.items():
        below = base.setdefault(family, editing.strip_comments(base.get(find_kind(family), {})))
        known = methods.list_available(find_kind(family))
        settings = methods.read_settings_declaration(find_kind(family))
        blocks = {*known, *(item.name for item in (settings.parameters if settings else ()) if item.nested)}
        selected = section.get("method", below.get("method"))
        if selected != below.get("method"):
            for name in [name for name in below if name in known and name != selected]:
                del below[name]
        for key, value in section.items():
            if key in blocks:
                _merge(below, key, value)
            else:
                below[key] = value


def _merge(base: Any, key: str, value: Any) -> None:
    """Set an entry of the base to a value; values of a block that the new one does not name stay."""
    if isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
        for name, inner in value.items():
            _merge(base[key], name, inner)
    else:
        base[key] = value
