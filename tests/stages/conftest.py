"""Projects in miniature, at several points of their life."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from seedbed.learning import footprint
from tests.stages.miniature import STAGES, Project, new_project
from tests.support.blank_charts import blank_charts


@pytest.fixture(scope="session", autouse=True)
def views_are_measured_once() -> Iterator[None]:
    """Keep how much memory a view takes in a network: to find it out takes longer than a training of these tests."""
    measure, kept = footprint._measure_kept, dict[tuple[str, int], int]()

    def measure_once(network: nn.Module, edge: int) -> int:
        key = (str(network), edge)
        if key not in kept:
            kept[key] = measure(network, edge)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footprint, "_measure_kept", measure_once)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A project in which every stage was run; no test changes it."""
    project = new_project(tmp_path_factory.mktemp("finished"), original)
    project.run(*STAGES)
    return project


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A project of which only the first stage was run; no test changes it."""
    project = new_project(tmp_path_factory.mktemp("indexed"), original)
    project.run("dataset", "pretraining")
    return project


@pytest.fixture(name="blank_charts")
def draw_no_charts() -> Iterator[None]:
    """Let charts be white, where a test looks at none."""
    with blank_charts():
        yield


@pytest.fixture
def fresh(tmp_path: Path, original: dict[str, Any]) -> Project:
    """A project in which nothing was run yet, to do harm to."""
    return new_project(tmp_path / "project", original)


@pytest.fixture
def own(tmp_path: Path, indexed: Project) -> Project:
    """A project of which only the first stage was run, to do harm to."""
    return indexed.copy_to(tmp_path / "project")
