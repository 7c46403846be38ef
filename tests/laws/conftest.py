"""A copy of the project to break laws in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.laws.broken_copy import BrokenCopy
from tests.laws.source_tree import PACKAGES, PROJECT, SourceTree

State = dict[str, tuple[int, int]]


@pytest.fixture(scope="session")
def checkout() -> SourceTree:
    """The project as it is."""
    return SourceTree()


@pytest.fixture(scope="session")
def whole_copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    """A copy of the project's source, of the tests only their names; and how its files are."""
    root = tmp_path_factory.mktemp("copy") / "project"
    for package in PACKAGES:
        if (PROJECT / package).is_dir():
            shutil.copytree(PROJECT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (PROJECT / name for pattern in ("dvc.yaml", "pipelines/*/dvc.yaml") for name in PROJECT.glob(pattern)):
        (root / file.relative_to(PROJECT)).parent.mkdir(parents=True, exist_ok=True)
        for name in (file, file.with_name("params.yaml")):
            shutil.copy(name, root / name.relative_to(PROJECT))
    for test in (PROJECT / "tests").rglob("test_*.py"):
        name = root / test.relative_to(PROJECT)
        name.parent.mkdir(parents=True, exist_ok=True)
        name.touch()
    return root, state(root)


@pytest.fixture
def broken(whole_copy: tuple[Path, State]) -> Iterator[BrokenCopy]:
    """A copy of the project, which is mended after each test: to copy hundreds of files takes longer than to find the few that changed."""
    root, whole = whole_copy
    yield BrokenCopy(root)
    now = state(root)
    for name in now.keys() - whole.keys():
        (root / name).unlink()
    for folder in {(root / name).parent for name in now.keys() - whole.keys()}:
        while folder != root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
    for name in [name for name, written in whole.items() if now.get(name) != written]:
        (root / name).write_bytes(b"" if name.startswith("tests/") else (PROJECT / name).read_bytes())
        os.utime(root / name, ns=(whole[name][0],) * 2)


def state(folder: Path) -> State:
    """When each file below a folder was written, and how long it is."""
    found, left = State(), [folder]
    while left:
        for one in os.scandir(left.pop()):
            if one.is_dir():
                left.append(Path(one.path))
            else:
                of_file = one.stat()
                found[Path(one.path).relative_to(folder).as_posix()] = of_file.st_mtime_ns, of_file.st_size
    return found
