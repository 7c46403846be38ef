"""The project's source as text: which module uses which, without running any of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ruamel.yaml import YAML

N = TypeVar("N", bound=ast.AST)

PROJECT = Path(__file__).parents[2]
PACKAGES = ("seedbed", "stages", "benchmarks")
CONTRACT = "\nclass Method("  # by which a family is told from another folder


class Use(NamedTuple):
    """A dotted name somewhere in a module, whole: in `np.random.rand()` it is numpy.random.rand."""

    name: str
    line: int
    imported: bool  # whether it begins with something that the module imports


class Source:
    """One module's text, taken apart."""

    def __init__(self, package: str, text: str) -> None:
        """package: where relative imports begin."""
        self._package = package.split(".")
        self.syntax = ast.parse(text)
        self.nodes = list(ast.walk(self.syntax))  # a whole before its parts
        self._by_kind: dict[type[ast.AST], list[Any]] = {}
        imports = list(self._imports())
        self._origins = {local: origin for local, origin, _ in imports}
        self.uses = [*(use for _, _, use in imports), *self._names()]

    def resolved(self, node: ast.expr) -> str:
        """A dotted name as a whole; what stands before a name that is not dotted all the way, a call for example, is left out."""
        first, dot, rest = dotted(node).partition(".")
        return f"{self._origins.get(first, first)}{dot}{rest}"

    def nodes_of(self, kind: type[N]) -> list[N]:
        """Everything of one kind."""
        if kind not in self._by_kind:
            self._by_kind[kind] = [node for node in self.nodes if isinstance(node, kind)]
        return self._by_kind[kind]

    def _imports(self) -> Iterator[tuple[str, str, Use]]:
        """Every import, in functions too: the name that it makes, what that stands for, and what the import mentions."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    yield alias.asname or first, alias.name if alias.asname else first, Use(alias.name, node.lineno, imported=True)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    name = f"{self._absolute(node)}.{alias.name}"
                    yield alias.asname or alias.name, name, Use(name, node.lineno, imported=True)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        return ".".join([*self._package[: len(self._package) - node.level + 1], *filter(None, [node.module])])

    def _names(self) -> Iterator[Use]:
        inside: set[int] = set()  # parts of names that were met already
        for node in self.nodes:
            if isinstance(node, ast.Attribute):
                inside.add(id(node.value))
            if isinstance(node, ast.Attribute | ast.Name) and id(node) not in inside:
                yield Use(self.resolved(node), node.lineno, dotted(node).partition(".")[0] in self._origins)


# Copies of the project differ in one file or two, so what was found out once is kept by a module's text.
taken_apart = cache(Source)


@cache
def find_uses(source: Source, *beginnings: str) -> list[Use]:
    """Where a module uses one of some dotted names, or something within one."""
    return [use for use in source.uses if begins(use.name, *beginnings)]


@cache
def find_ours(source: Source, module: str, modules: frozenset[str]) -> dict[str, int]:
    """Which of our modules a module names itself, with the line of the first time.

    modules: all of them.
    """
    lines: dict[str, int] = {}
    for use in source.uses:
        if use.imported and use.name.partition(".")[0] in PACKAGES:
            ours = [one for one in (use.name, *_parents(use.name)) if one in modules]
            if ours and ours[0] != module:
                lines[ours[0]] = min(use.line, lines.get(ours[0], use.line))
    return lines


@cache
def parsed_yaml(text: str) -> dict[str, Any]:
    """YAML as DVC reads it; not to be changed."""
    content: dict[str, Any] = YAML(typ="safe").load(text)
    return content


@dataclass(frozen=True)
class SourceTree:
    """A checkout, or a copy of one in which a law was broken on purpose. It is read once: no later change is seen."""

    root: Path = PROJECT
    folder: Path = Path()  # of the pipeline that laws are held against, below the root

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Every module by its dotted name."""
        found = {}
        for package in PACKAGES:
            for file in sorted((self.root / package).rglob("*.py")):
                parts = file.relative_to(self.root).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
        return found

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Every module's text, taken apart."""
        made = {}
        for module, file in self.modules.items():
            package = module if file.name == "__init__.py" else module.rpartition(".")[0]
            made[module] = taken_apart(package, file.read_text(encoding="utf-8"))
        return made

    @cached_property
    def uses(self) -> dict[str, list[Use]]:
        """Every name in every module."""
        return {module: source.uses for module, source in self.sources.items()}

    def file(self, module: str) -> str:
        """A module's file, as dvc.yaml writes it."""
        return self.modules[module].relative_to(self.root).as_posix()

    def at(self, module: str, line: int) -> str:
        """Where something is, as editors and terminals understand it."""
        return f"{self.file(module)}:{line}"

    def room(self, module: str) -> str:
        """The folder below `seedbed/` that a module lies in, itself where it lies in none; `stages`, `benchmarks`."""
        first, _, rest = module.partition(".")
        return rest.partition(".")[0] if first == "seedbed" else first

    @cached_property
    def families(self) -> list[str]:
        """Folders of seedbed/ with a contract."""
        return sorted(
            file.parent.name for file in (self.root / "seedbed").glob("*/__init__.py") if CONTRACT in file.read_text(encoding="utf-8")
        )

    def methods(self, family: str) -> list[str]:
        """Modules that are methods of a family."""
        files = sorted((self.root / "seedbed" / family).glob("*.py"))
        return [f"seedbed.{family}.{file.stem}" for file in files if not file.stem.startswith("_")]

    # Which module runs which.

    @cached_property
    def imported(self) -> dict[str, dict[str, int]]:
        """Per module: the modules of ours that it names itself, with the line of the first time."""
        modules = frozenset(self.modules)
        return {module: find_ours(source, module, modules) for module, source in self.sources.items()}

    @cached_property
    def runs(self) -> dict[str, set[str]]:
        """Per module: the modules of ours that importing it runs next, packages on the way to them and to itself among them."""
        named = {module: {module, *targets} for module, targets in self.imported.items()}
        return {module: {one for name in names for one in (name, *_parents(name))} - {module} for module, names in named.items()}

    def reachable(self, module: str) -> set[str]:
        """Modules of ours that importing a module runs, itself among them."""
        found, left = set(), {module}
        while left:
            one = left.pop()
            found.add(one)
            left |= self.runs[one] - found
        return found

    # What the pipeline says.

    @cached_property
    def pipelines(self) -> list[SourceTree]:
        """The same checkout once for each pipeline: the project's, and those of folders of their own."""
        files = [self.root / "dvc.yaml", *sorted(self.root.glob("pipelines/*/dvc.yaml"))]
        folders = [file.parent.relative_to(self.root) for file in files]
        return [self if folder == self.folder else replace(self, folder=folder) for folder in folders]

    @property
    def up(self) -> str:
        """How files of the code begin in dvc.yaml, seen from the pipeline's folder."""
        return "../" * len(self.folder.parts)

    @cached_property
    def dvc(self) -> dict[str, dict[str, Any]]:
        """Stages of dvc.yaml."""
        stages: dict[str, dict[str, Any]] = parsed_yaml((self.root / self.folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        return stages

    @cached_property
    def params(self) -> dict[str, Any]:
        """params.yaml."""
        return parsed_yaml((self.root / self.folder / "params.yaml").read_text(encoding="utf-8"))

    def kind(self, stage: str) -> str:
        """Which of the stage files a stage runs, and so of what kind its artifact is: its name, or what stands before `_` and a word."""
        files = (module.removeprefix("stages.") for module in self.modules if module.startswith("stages."))
        return next((one for one in files if stage == one or stage.startswith(f"{one}_")), stage)

    def module(self, stage: str) -> str:
        """The module that a stage runs."""
        return f"stages.{self.kind(stage)}"

    @cached_property
    def stages(self) -> list[str]:
        """Stages of dvc.yaml that have a file."""
        return [stage for stage in self.dvc if self.module(stage) in self.modules]

    def contracts(self, stage: str) -> dict[str, set[str]]:
        """Families that a stage asks for: family -> which of `Method` and `Settings` it names."""
        used: dict[str, set[str]] = {}
        for use in self.uses[self.module(stage)]:
            parts = use.name.split(".")
            if len(parts) == 3 and parts[0] == "seedbed" and parts[1] in self.families and parts[2] in ("Method", "Settings"):
                used.setdefault(parts[1], set()).add(parts[2])
        return used


def dotted(node: ast.expr) -> str:
    """`a.b.c` as it is written; `.c` where something else than a name stands before the dot."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def begins(name: str, *beginnings: str) -> bool:
    """Whether a dotted name is one of some others or lies within one."""
    return any(name == one or name.startswith(f"{one}.") for one in beginnings)


@cache
def _parents(name: str) -> list[str]:
    """Packages around a module, the nearest first."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]
