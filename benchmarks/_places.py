"""Folders in which stages run one after another with parameters of a benchmark's, and the figures that they leave."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from benchmarks._costs import Cost, start, wait
from seedbed.store.schemas import find_kind
from seedbed.tools.recipe_files import find_block

CHECKOUT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Place:
    """A folder in which stages run."""

    folder: Path
    changes: Mapping[str, Any] = field(default_factory=dict)  # other values in all runs, by address

    def prepare(self, params: dict[str, Any]) -> None:
        """Give it parameters, and the raw data and weights of this checkout."""
        for address, value in self.changes.items():
            family, method, *within = address.split(".")
            if within:  # a block that is not there is of a method that this run does not select
                params[family].setdefault(method, find_block(params, f"{family}.{method}", folder=CHECKOUT / "recipes"))
            changed(params, address, value)
        self.folder.mkdir(parents=True, exist_ok=True)
        YAML().dump(params, self.folder / "params.yaml")
        (self.folder / "data").mkdir(exist_ok=True)
        for name in ("raw", "weights"):
            if not (link := self.folder / "data" / name).is_symlink():
                link.symlink_to((CHECKOUT / "data" / name).resolve(), target_is_directory=True)
        shutil.copytree(CHECKOUT / "data" / "none.zarr", self.folder / "data" / "none.zarr", dirs_exist_ok=True)

    def run(self, stages: Sequence[str]) -> None:
        """Run stages in turn."""
        for stage in stages:
            self.measure(stage)

    def measure(self, stage: str) -> Cost:
        """Run a stage. Returns what that took."""
        command = [sys.executable, "-m", f"stages.{find_kind(stage)}", "--as", stage]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        cost, status = wait(start(command, folder=self.folder, environment=environment))
        if status:
            raise SystemExit(f"{stage} failed with status {status} in {self.folder}: see above")
        return cost

    def figures(self) -> dict[str, Any]:
        """The figures of the last evaluation."""
        content: dict[str, Any] = json.loads((self.folder / "data" / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
        return content


def stages() -> list[str]:
    """All stages, in the order of dvc.yaml, which is one that they can run in."""
    return list(YAML(typ="safe").load(CHECKOUT / "dvc.yaml")["stages"])


def order_stages(params: Mapping[str, Any]) -> list[str]:
    """All stages that parameters have a section of, further rounds too, each after those that it reads."""
    return list(TopologicalSorter(list_read(params)).static_order())


def list_read(params: Mapping[str, Any]) -> dict[str, list[str]]:
    """The stages that each stage may read."""
    before = {name: sorted(({"dataset"} | (set(_list_texts(section)) & set(params))) - {name}) for name, section in params.items()}
    before["dataset"] = []
    return before


def _list_texts(content: Any) -> Iterator[str]:
    """All values that are text; the names of artifacts among them are slots."""
    if isinstance(content, Mapping):
        for value in content.values():
            yield from _list_texts(value)
    elif isinstance(content, str):
        yield content


def changed(params: dict[str, Any], address: str, value: Any) -> None:
    """Give a parameter another value."""
    *way, last = address.split(".")
    place = params
    for name in way:
        place = place[name]
    if last not in place:
        raise SystemExit(f"no parameter {address}")
    place[last] = value


def seeded(params: dict[str, Any], seed: int) -> None:
    """Let every training that is selected have a seed, and everything else that draws, but for the data set."""
    for family, section in params.items():
        block = section.get(section["method"]) or {}
        if "training" in block:
            changed(params, f"{family}.{section['method']}.training.seed", seed)
        elif "seed" in block and family != "dataset":
            changed(params, f"{family}.{section['method']}.seed", seed)


def figure(content: Mapping[str, Any], address: str) -> float | None:
    """A figure of an evaluation, or the mean of several where the address ends in names with commas between them."""
    *way, last = address.split(".")
    found: Any = content
    for name in way:
        found = (found or {}).get(name)
    mean = np.array([(found or {}).get(name) for name in last.split(",")], np.float64).mean()
    return None if np.isnan(mean) else float(mean)


def with_spread(figures: np.ndarray[Any, Any], *, digits: int = 3) -> str:
    """Mean of some figures, and their standard deviation if there are several that differ; nothing where there is no figure."""
    if np.isnan(figures).any():
        return ""
    spread = "" if len(figures) == 1 or figures.std(ddof=1) < 5e-4 else f" ± {figures.std(ddof=1):.3f}"
    return f"{figures.mean():.{digits}f}{spread}"
