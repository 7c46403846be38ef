"""The artifact that unused slots name is in git, and is what the code would write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from seedbed.errors import ArtifactError
from seedbed.store.artifact import MadeBy, open_artifact
from seedbed.store.schemas import NONE
from seedbed.store.store import Store
from seedbed.tools.gc import Choice, survey
from seedbed.tools.verify import select_artifacts
from tests.stages.miniature import tree

COMMITTED = Path(__file__).parents[2] / "data"


def test_it_is_what_the_store_writes(tmp_path: Path) -> None:
    Store(NONE, folder=tmp_path).publish([], {}, images=0, made_by=MadeBy(NONE, NONE, {}), extents={})
    assert tree(tmp_path / "none.zarr") == tree(COMMITTED / "none.zarr")


def test_it_is_of_its_own_kind_and_holds_nothing() -> None:
    opened = open_artifact(NONE, folder=COMMITTED)
    assert (opened.kind, dict(opened.schema.arrays), opened.files, opened.made_by.inputs) == (NONE, {}, {}, {})


def test_it_is_nothing_that_a_stage_left(tmp_path: Path) -> None:
    shutil.copytree(COMMITTED / "none.zarr", tmp_path / "none.zarr")
    with pytest.raises(ArtifactError, match=r"found no artifacts; expected at least one; run `dvc repro`"):
        select_artifacts([], folder=tmp_path)
    assert survey(Choice(), folder=tmp_path) == []


def test_where_it_is_missing_or_damaged_git_has_it(tmp_path: Path) -> None:
    lost = f"{tmp_path / 'none.zarr'}: found nothing; expected the empty artifact; restore it from git"
    with pytest.raises(ArtifactError) as refused:
        open_artifact(NONE, folder=tmp_path)
    assert str(refused.value) == lost
    (tmp_path / "none.zarr").mkdir()
    with pytest.raises(ArtifactError, match=r"found something that Seedbed did not write; expected the empty artifact; restore"):
        open_artifact(NONE, folder=tmp_path)
