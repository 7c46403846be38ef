"""A copy of the project to break laws in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.laws.broken_copy import BrokenCopy
from tests.laws.source_tree import PACKAGES, PROJECT, SourceTree


@pytest.fixture(scope="session")
def checkout() -> SourceTree:
    """The project as it is."""
    return SourceTree()


@pytest.fixture
def broken(tmp_path: Path) -> BrokenCopy:
    """A copy of the project's source; of the tests only their names."""
    for package in PACKAGES:
        if (PROJECT / package).is_dir():
            shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("dvc.yaml", "params.yaml"):
        shutil.copy(PROJECT / file, tmp_path / file)
    for test in (PROJECT / "tests").rglob("test_*.py"):
        name = tmp_path / test.relative_to(PROJECT)
        name.parent.mkdir(parents=True, exist_ok=True)
        name.touch()
    return BrokenCopy(tmp_path)
