"""Two artifacts of one kind side by side: the name says where one lies, its record what it is."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import stages.cams
from seedbed import segmenter
from seedbed.errors import USER_ERROR, ParamsError
from seedbed.params import Params
from seedbed.reads import read_class_maps
from seedbed.run.slots import check_maps
from seedbed.run.stage import Run, run_stage
from seedbed.store.artifact import open_artifact
from seedbed.tools.gc import Choice, survey
from seedbed.tools.provenance import find_outdated
from seedbed.tools.verify import select_artifacts, verify
from tests.stages.miniature import Project, tree

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


@pytest.mark.slow
def test_both_are_looked_at_as_what_they_are(twice: Project, tmp_path: Path) -> None:
    assert select_artifacts([], folder=twice.data)[-1] == SECOND and select_artifacts([SECOND], folder=twice.data) == [SECOND]
    with contextlib.chdir(twice.root):
        assert verify(SECOND, params=Params.read(), folder=twice.data).sound
    damaged = twice.copy_to(tmp_path).data / f"{SECOND}.zarr"
    next(file for file in (damaged / "maps" / "c").rglob("*") if file.is_file()).unlink()
    assert [finding.where.split("/")[0] for finding in verify(SECOND, folder=damaged.parent).findings] == ["maps"]


@pytest.mark.slow
def test_the_store_keeps_the_entries_of_each(twice: Project) -> None:
    kept = survey(Choice(stages=(SECOND,)), folder=twice.data)
    assert [(one.stage, one.state, one.images) for one in kept] == [(SECOND, "current", 9)]
    with pytest.raises(ParamsError, match=r"found 'cams_third'; expected one of: dataset, .*, cams_second \(nearest: cams_second\)"):
        survey(Choice(stages=("cams_third",)), folder=twice.data)


def test_a_slot_that_names_another_kind_is_refused(twice: Project) -> None:
    with contextlib.chdir(twice.root):
        with pytest.raises(ParamsError) as maps:
            check_maps("segmenter", ("labels",), {"labels": SECOND})
        own = twice.params()
        own["segmenter"]["start"] = SECOND
        with pytest.raises(ParamsError) as start:
            Params(own).settings(segmenter.Settings)
    assert str(maps.value) == (
        "params.yaml: segmenter.maps.labels: found 'cams_second'; expected an artifact with `labels`: seeds, refinement; correct it"
    )
    assert str(start.value) == (
        "params.yaml: segmenter.start: found 'cams_second'; expected an artifact of the kind classifier, or 'none'; "
        "correct it, or run `seedbed methods` to see every method and its parameters"
    )


# A second round as a program makes it, in this process.


def make_as(monkeypatch: pytest.MonkeyPatch, module: str, *arguments: str) -> None:
    """What `python -m stages.<module>` does after its imports."""
    monkeypatch.setattr(sys, "argv", [module, "--workers", "1", "--device", "cpu", *arguments])
    stage = importlib.import_module(f"stages.{module}")
    run_stage(stage.main, module)


@pytest.mark.slow
def test_a_stage_makes_a_second_artifact_under_another_name(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = finished.copy_to(tmp_path)
    content = project.params()
    content[SECOND] = content["cams"] | {"multiscale": content["cams"]["multiscale"] | {"scales": [0.5]}}
    content["refinement_second"] = content["refinement"] | {"class_maps": SECOND}
    project.write_params(content)
    monkeypatch.chdir(project.root)
    before = tree(project.data)
    make_as(monkeypatch, "cams", "--as", SECOND)
    make_as(monkeypatch, "refinement", "--as", "refinement_second")
    after = tree(project.data)
    assert {name: content for name, content in after.items() if name in before} == before, "what there was is untouched"
    assert {name.split("/")[0] for name in set(after) - set(before)} == {f"{SECOND}.zarr", "refinement_second.zarr"}
    first, second, refined = (open_artifact(name) for name in ("cams", SECOND, "refinement_second"))
    assert second.made_by.parameters["scales"] == [0.5] and first.made_by.parameters["scales"] != [0.5]
    assert refined.made_by.inputs == {"dataset": open_artifact("dataset").digest, SECOND: second.digest}
    content[SECOND]["multiscale"]["stride"] = 8
    project.write_params(content)
    params = Params.read()
    outdated = {name: list(find_outdated(open_artifact(name), params)) for name in ("cams", SECOND, "refinement_second")}
    assert outdated == {"cams": [], SECOND: ["made with stride 4; params.yaml now says 8"], "refinement_second": []}


@pytest.mark.slow
def test_two_rounds_of_equal_parameters_and_inputs_have_equal_contents(twice: Project) -> None:
    first, second = (open_artifact(name, folder=twice.data) for name in ("cams", SECOND))
    assert first.files == second.files and first.digest != second.digest


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("cams", "seeds", "found 'seeds'; expected 'cams', or cams_ and a word of small letters and digits; correct it"),
        ("cams", "cams_Second", "found 'cams_Second'; expected 'cams', or cams_ and a word of small letters and digits; correct it"),
        ("dataset", "dataset_second", "found 'dataset_second'; expected 'dataset' alone, of which a pipeline has one; leave --as out"),
        ("evaluation", "evaluation_2", "found 'evaluation_2'; expected 'evaluation' alone, of which a pipeline has one; leave --as out"),
    ],
)
def test_a_name_of_another_kind_is_refused(
    module: str, name: str, message: str, finished: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished.root)
    with pytest.raises(SystemExit) as left:
        make_as(monkeypatch, module, "--as", name)
    assert (left.value.code, capsys.readouterr().err) == (USER_ERROR, f"error: --as: {message}\n")


@pytest.mark.slow
def test_a_name_without_a_section_is_told(finished: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(finished.root)
    with pytest.raises(SystemExit):
        make_as(monkeypatch, "cams", "--as", SECOND)
    assert capsys.readouterr().err == "error: params.yaml: cams_second: found nothing; expected a section for this stage; add it\n"
