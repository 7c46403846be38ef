"""Classifiers that read more than images, by the stages: saliency, and labels of an earlier round."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path

import pytest

from seedbed.params import Params
from seedbed.reads import read_class_maps
from seedbed.run.stage import Run
from seedbed.store.artifact import open_artifact
from tests.stages.miniature import Project, tree
from tests.stages.surviving import change_params, heard

# Slow, for the contracts of learners and the laws of the pipeline prove the same in the small.
pytestmark = [pytest.mark.usefixtures("blank_charts"), pytest.mark.slow]
REUSED = "classifier: reused, because nothing that it learns from has changed"


@pytest.fixture(scope="module")
def grounded(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose classifier explains saliency, which is found in superpixels without it."""
    project = finished.copy_to(tmp_path_factory.mktemp("grounded") / "project")
    block = project.params()["classifier"]["fbr"]
    block["saliency"]["weight"] = 1
    block["second_view"] |= {"kind": "cropped", "edge": 48}
    alone = {**project.params()["saliency"]["unsupervised"], "correction": {"adds_above": 1, "doubts_below": 0}}  # without class maps
    change_params(project, "saliency", method="unsupervised", superpixels="superpixels", features="features", unsupervised=alone)
    change_params(project, "classifier", method="fbr", maps={"labels": "none", "regions": "none", "objects": "saliency"}, fbr=block)
    project.run("saliency", "classifier", "cams")
    return project


def test_it_reads_saliency_and_keeps_a_map_of_background(grounded: Project, finished: Project) -> None:
    trained, plain = (open_artifact("classifier", folder=one.data) for one in (grounded, finished))
    assert trained.made_by.inputs.keys() == {"dataset", "saliency"}
    terms = {"classes", "saliency", "segmentation", "apart", "background", "foreground"}
    assert terms < {str(one) for one in trained.array("figures")}
    assert {*trained.weights()} - {*plain.weights()} == {"background.weight"} and {*plain.weights()} < {*trained.weights()}
    assert open_artifact("cams", folder=grounded.data).ids == open_artifact("cams", folder=finished.data).ids


@pytest.mark.slow
def test_other_saliency_makes_it_learn_anew_and_without_its_weight_none_is_waited_for(grounded: Project, tmp_path: Path) -> None:
    project = grounded.copy_to(tmp_path / "project")
    assert REUSED in heard(project, "classifier")
    weights = tree(project.data / "classifier.zarr")
    block = project.params()["saliency"]["unsupervised"]
    change_params(project, "saliency", unsupervised={**block, "threshold": block["threshold"] + 0.2})
    project.run("saliency", "classifier")
    assert tree(project.data / "classifier.zarr") != weights
    block = project.params()["classifier"]["fbr"]
    block["saliency"]["weight"] = 0
    change_params(project, "classifier", maps={"labels": "none", "regions": "none", "objects": "none"}, fbr=block)
    project.run("classifier")
    assert open_artifact("classifier", folder=project.data).made_by.inputs.keys() == {"dataset"}


def run_second(project: Project, stage: str) -> None:
    """Run a stage of the second round in this process."""
    with contextlib.chdir(project.root):
        importlib.import_module(f"stages.{stage}").main(Run(f"{stage}_second", Params.read(), device_wanted="cpu"))


@pytest.fixture(scope="module")
def twice(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose second classifier learns from seeds of the first."""
    project = finished.copy_to(tmp_path_factory.mktemp("twice") / "project")
    content = project.params()
    maps = {"labels": "seeds", "regions": "none", "objects": "none"}
    content["classifier_second"] = {**content["classifier"], "method": "amn", "maps": maps}
    content["cams_second"] = {**content["cams"], "classifier": "classifier_second"}
    project.write_params(content)
    run_second(project, "classifier")
    run_second(project, "cams")
    return project


def test_a_second_round_learns_from_seeds_of_the_first(twice: Project, finished: Project) -> None:
    trained, maps = (open_artifact(f"{name}_second", folder=twice.data) for name in ("classifier", "cams"))
    assert trained.made_by.inputs.keys() == {"dataset", "seeds"} and maps.made_by.inputs.keys() == {"dataset", "classifier_second"}
    assert {"labels", "apart", "background", "foreground"} < {str(one) for one in trained.array("figures")}
    assert {name.partition(".")[0] for name in trained.weights()} == {"backbone", "condition", "branches"}
    first = open_artifact("cams", folder=twice.data)
    assert maps.ids == first.ids and first.digest == open_artifact("cams", folder=finished.data).digest
    for image_id in maps.ids:
        before, after = (read_class_maps(one, image_id) for one in (first, maps))
        assert before.classes == after.classes and before.maps.shape == after.maps.shape
        assert all(one.max() == pytest.approx(1, abs=1e-3) for one in after.maps)


@pytest.mark.slow
def test_other_seeds_make_it_learn_anew(twice: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = twice.copy_to(tmp_path / "project")
    run_second(project, "classifier")
    assert "classifier_second: reused" in capsys.readouterr().err
    weights = tree(project.data / "classifier_second.zarr")
    change_params(project, "seeds", method="threshold", superpixels="none")
    project.run("seeds")
    run_second(project, "classifier")
    assert tree(project.data / "classifier_second.zarr") != weights
