"""A copy of the project, and ways to damage it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.laws.source_tree import SourceTree

Law = Callable[[SourceTree], list[str]]


@cache
def standing(law: Law) -> list[str]:
    """Violations in the project itself."""
    return law(SourceTree())


@dataclass(frozen=True)
class BrokenCopy:
    """Its source tree is made anew each time, after the damage."""

    root: Path

    def new(self, law: Law) -> list[str]:
        """Violations that the damage added, so that one law that is broken in earnest fails one test and not all."""
        return [violation for violation in law(self.tree) if violation not in standing(law)]

    @property
    def tree(self) -> SourceTree:
        """The copy as it is now."""
        return SourceTree(self.root)

    def append(self, file: str, text: str) -> str:
        """Add text to the end of a file, a new one perhaps, and say where: `file:line` of its first line."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        path.write_text(f"{old}{text}\n", encoding="utf-8")
        return f"{file}:{len(old.splitlines()) + 1}"

    def replace(self, file: str, old: str, new: str) -> None:
        """Change a text that a file has once or more."""
        text = (self.root / file).read_text(encoding="utf-8")
        assert old in text, f"{file} no longer has {old!r}: correct this test"
        (self.root / file).write_text(text.replace(old, new), encoding="utf-8")

    def change_stage(self, stage: str, old: str, new: str) -> None:
        """Change a line of one stage of dvc.yaml; without a new one, remove it."""
        parts = re.split(r"(?m)^(?=  \w+:$)", (self.root / "dvc.yaml").read_text(encoding="utf-8"))
        [index] = [number for number, part in enumerate(parts) if part.startswith(f"  {stage}:\n")]
        lines = parts[index].splitlines()
        [place] = [number for number, line in enumerate(lines) if line.strip() == old]
        indent = lines[place][: -len(old)]
        lines[place : place + 1] = [f"{indent}{line}" for line in new.splitlines()]
        parts[index] = "\n".join([*lines, ""])
        (self.root / "dvc.yaml").write_text("".join(parts), encoding="utf-8")
