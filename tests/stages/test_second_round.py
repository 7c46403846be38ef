"""Two artifacts of one kind side by side: the name says where one lies, its record what it is."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

import stages.cams
from seedbed.errors import ParamsError
from seedbed.params import Params
from seedbed.reads import read_class_maps
from seedbed.run.slots import check_maps, check_start
from seedbed.run.stage import Run
from seedbed.store.artifact import open_artifact
from seedbed.tools.gc import Choice, survey
from seedbed.tools.verify import select_artifacts, verify
from tests.stages.miniature import Project

SECOND = "cams_second"


@pytest.fixture(scope="module")
def twice(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with class maps of two rounds."""
    project = finished.copy_to(tmp_path_factory.mktemp("twice"))
    content = project.params()
    content[SECOND] = content["cams"]
    project.write_params(content)
    with contextlib.chdir(project.root):
        stages.cams.main(Run(SECOND, Params.read(), device_wanted="cpu"))
    return project


def test_class_maps_of_two_rounds_lie_side_by_side(twice: Project) -> None:
    first, second = (open_artifact(name, folder=twice.data) for name in ("cams", SECOND))
    assert (second.name, second.kind, second.path.name) == (SECOND, "cams", "cams_second.zarr")
    assert (first.name, first.kind, first.schema) == ("cams", "cams", second.schema)
    assert second.made_by.stage == SECOND and second.ids == first.ids
    for image_id in second.ids:
        before, after = read_class_maps(first, image_id), read_class_maps(second, image_id)
        assert before.classes == after.classes
        np.testing.assert_array_equal(before.maps, after.maps)


def test_both_are_looked_at_as_what_they_are(twice: Project, tmp_path: Path) -> None:
    assert select_artifacts([], folder=twice.data)[-1] == SECOND and select_artifacts([SECOND], folder=twice.data) == [SECOND]
    with contextlib.chdir(twice.root):
        assert verify(SECOND, params=Params.read(), folder=twice.data).sound
    damaged = twice.copy_to(tmp_path).data / f"{SECOND}.zarr"
    next(file for file in (damaged / "maps" / "c").rglob("*") if file.is_file()).unlink()
    assert [finding.where.split("/")[0] for finding in verify(SECOND, folder=damaged.parent).findings] == ["maps"]


def test_the_store_keeps_the_entries_of_each(twice: Project) -> None:
    kept = survey(Choice(stages=(SECOND,)), folder=twice.data)
    assert [(one.stage, one.state, one.images) for one in kept] == [(SECOND, "current", 9)]
    with pytest.raises(ParamsError, match=r"found 'cams_third'; expected one of: dataset, .*, cams_second \(nearest: cams_second\)"):
        survey(Choice(stages=("cams_third",)), folder=twice.data)


def test_a_slot_that_names_another_kind_is_refused(twice: Project) -> None:
    with contextlib.chdir(twice.root):
        with pytest.raises(ParamsError) as maps:
            check_maps("segmenter", ("labels",), {"labels": SECOND})
        with pytest.raises(ParamsError) as start:
            check_start("segmenter", "classifier", SECOND)
    assert str(maps.value) == (
        "params.yaml: segmenter.maps.labels: found 'cams_second'; expected an artifact with `labels`: seeds, refinement; correct it"
    )
    assert str(start.value) == (
        "params.yaml: segmenter.start: found 'cams_second'; expected 'classifier', because "
        "initial_weights.source is classifier; correct one of the two"
    )
