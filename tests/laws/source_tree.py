"""The project's source as text: which module imports which, without running any of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[2]
PACKAGES = ("seedbed", "stages", "benchmarks")


@dataclass(frozen=True)
class SourceTree:
    """A checkout, or a copy of one in which a law was broken on purpose."""

    root: Path = PROJECT

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Every module by its dotted name."""
        found = {}
        for package in PACKAGES:
            for file in sorted((self.root / package).rglob("*.py")):
                parts = file.relative_to(self.root).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
        return found

    def parsed(self, module: str) -> ast.Module:
        """A module's syntax tree."""
        return ast.parse(self.modules[module].read_text(encoding="utf-8"))

    def imported_names(self, module: str) -> Iterator[str]:
        """Every dotted name that a module imports anywhere in it, in functions too, ours or not."""
        for node in ast.walk(self.parsed(module)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    package = module.split(".") if self.modules[module].name == "__init__.py" else module.split(".")[:-1]
                    base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)

    def imports(self, module: str) -> set[str]:
        """Modules of ours that a module imports itself, with the packages that are run on the way to them."""
        found: set[str] = set()
        for name in self.imported_names(module):
            parts = name.split(".")
            found |= {".".join(parts[:length]) for length in range(1, len(parts) + 1)} & set(self.modules)
        return found - {module}

    def reachable(self, module: str) -> set[str]:
        """Modules of ours that importing a module runs, itself among them."""
        found, left = set(), {module, module.rpartition(".")[0]} & set(self.modules)
        while left:
            one = left.pop()
            found.add(one)
            left |= self.imports(one) - found
        return found

    @cached_property
    def dvc(self) -> dict[str, Any]:
        """dvc.yaml."""
        content: dict[str, Any] = YAML(typ="safe").load(self.root / "dvc.yaml")
        return content

    @cached_property
    def params(self) -> dict[str, Any]:
        """params.yaml."""
        content: dict[str, Any] = YAML(typ="safe").load(self.root / "params.yaml")
        return content

    def families(self) -> list[str]:
        """Folders of seedbed/ with a contract."""
        return sorted(file.parent.name for file in (self.root / "seedbed").glob("*/__init__.py"))

    def methods(self, family: str) -> list[str]:
        """Method files of a family."""
        return sorted(file.stem for file in (self.root / "seedbed" / family).glob("*.py") if not file.stem.startswith("_"))

    def contracts_used(self, stage: str) -> dict[str, set[str]]:
        """Families whose methods or settings a stage asks for: family -> attributes (`Method`, `Settings`) that it names."""
        used: dict[str, set[str]] = {}
        for node in ast.walk(self.parsed(f"stages.{stage}")):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            if node.value.id in self.families() and node.attr in ("Method", "Settings"):
                used.setdefault(node.value.id, set()).add(node.attr)
        return used
