"""Where the raw images of a run lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedbed.store.runs import open_run
from seedbed.tools.photographs import find_raw_root


def write_params(folder: Path, root: str) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(f"dataset: {{method: folder, root: {root}}}\n")


def test_images_lie_in_the_run_s_own_project_or_else_in_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, other = tmp_path / "here", tmp_path / "other"
    write_params(here, "data/raw/own")
    write_params(other, "data/raw/its")
    monkeypatch.chdir(here)
    with open_run("") as workspace, open_run(str(other)) as run, open_run(str(other / "data")) as artifacts:
        assert find_raw_root(workspace) == Path("data/raw/own")
        assert find_raw_root(run) == find_raw_root(artifacts) == Path("data/raw/its"), "as a copy of artifacts without the images"
        (other / "data/raw/its").mkdir(parents=True)
        assert find_raw_root(run) == find_raw_root(artifacts) == other / "data/raw/its"


def test_artifacts_that_are_copied_alone_are_of_this_project_s_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_params(tmp_path / "here", "data/raw/own")
    (tmp_path / "copied" / "seeds.zarr").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with open_run(str(tmp_path / "copied")) as run:
        assert find_raw_root(run) == Path("data/raw/own")
