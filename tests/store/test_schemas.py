"""The kind of an artifact follows from its name."""

from __future__ import annotations

import shutil
from itertools import permutations
from pathlib import Path

import pytest

from seedbed.errors import ArtifactError
from seedbed.store.artifact import open_artifact
from seedbed.store.schemas import SCHEMAS, find_kind
from seedbed.tools.verify import verify
from tests.support.publishing import published_network


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cams", "cams"),
        ("cams_second", "cams"),
        ("cams_2", "cams"),
        ("cams_of_round_2", "cams"),
        ("none", "none"),
        ("none_second", ""),
        ("cams_", ""),
        ("cams_Second", ""),
        ("cams__second", ""),
        ("camsecond", ""),
        ("second_cams", ""),
        ("second", ""),
        ("", ""),
    ],
)
def test_a_name_carries_its_kind(name: str, kind: str) -> None:
    assert find_kind(name) == kind


def test_no_kind_begins_another() -> None:
    assert not [(one, other) for one, other in permutations(SCHEMAS, 2) if other.startswith(f"{one}_")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("classifier_second", ""),
        ("cams_second", "the kind 'cams', with which the name cams_second begins"),
        ("segmenter", "the kind 'segmenter', with which the name segmenter begins"),
        ("second", "a name that begins with its kind, one of: dataset, pretraining, features, "),
    ],
)
def test_an_artifact_of_another_kind_than_its_name_is_not_opened(name: str, expected: str, tmp_path: Path) -> None:
    made = published_network("classifier", tmp_path / "made", {})
    shutil.copytree(made.path, tmp_path / f"{name}.zarr")
    if not expected:
        assert open_artifact(name, folder=tmp_path).kind == "classifier"
        return
    with pytest.raises(ArtifactError) as refused:
        open_artifact(name, folder=tmp_path)
    assert f"found the kind 'classifier'; expected {expected}" in str(refused.value)
    assert f"the kind 'classifier' instead of {expected}" in str(verify(name, folder=tmp_path))
