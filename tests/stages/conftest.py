"""Projects in miniature, at several points of their life."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tests.stages.miniature import STAGES, Project, new_project


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


@pytest.fixture
def blank_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let charts be white, where a test makes many evaluations and looks at no chart: drawing takes most of their time."""
    monkeypatch.setattr(FigureCanvasAgg, "draw", FigureCanvasAgg.get_renderer)


@pytest.fixture
def fresh(tmp_path: Path, original: dict[str, Any]) -> Project:
    """A project in which nothing was run yet, to do harm to."""
    return new_project(tmp_path / "project", original)


@pytest.fixture
def own(tmp_path: Path, indexed: Project) -> Project:
    """A project of which only the first stage was run, to do harm to."""
    return indexed.copy_to(tmp_path / "project")
