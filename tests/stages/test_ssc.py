"""A classifier that learns along superpixels, by the stages: what it reads, what it keeps, and what makes it learn anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedbed.store.artifact import open_artifact
from tests.stages.miniature import Project, tree
from tests.stages.surviving import change_params, heard

# Slow, for the contracts of learners and the laws of the pipeline prove the same in the small.
pytestmark = [pytest.mark.usefixtures("blank_charts"), pytest.mark.slow]
REUSED = "classifier: reused, because nothing that it learns from has changed"


@pytest.fixture(scope="module")
def shaped(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose classifier is drawn towards superpixels."""
    project = finished.copy_to(tmp_path_factory.mktemp("shaped") / "project")
    block = project.params()["classifier"]["ssc"]
    block["modulation"]["begins"] = 0
    change_params(project, "classifier", method="ssc", maps={"labels": "none", "regions": "superpixels", "objects": "none"}, ssc=block)
    project.run("classifier", "cams")
    return project


def test_it_reads_superpixels_and_keeps_the_plain_network(shaped: Project, finished: Project) -> None:
    trained, plain = (open_artifact("classifier", folder=one.data) for one in (shaped, finished))
    assert trained.made_by.inputs.keys() == {"dataset", "superpixels"}
    assert {"classes", "reconstruction", "modulation"} < {str(one) for one in trained.array("figures")}
    assert {*trained.weights()} == {*plain.weights()}
    assert open_artifact("cams", folder=shaped.data).ids == open_artifact("cams", folder=finished.data).ids


@pytest.mark.slow
def test_other_superpixels_make_it_learn_anew_and_none_are_waited_for_without_modulation(shaped: Project, tmp_path: Path) -> None:
    project = shaped.copy_to(tmp_path / "project")
    assert REUSED in heard(project, "classifier")
    weights = tree(project.data / "classifier.zarr")
    change_params(project, "superpixels", method="slic", features="none")
    project.run("superpixels", "classifier")
    assert tree(project.data / "classifier.zarr") != weights
    block = project.params()["classifier"]["ssc"]
    block["modulation"]["weight"] = 0
    change_params(project, "classifier", maps={"labels": "none", "regions": "none", "objects": "none"}, ssc=block)
    project.run("classifier")
    assert open_artifact("classifier", folder=project.data).made_by.inputs.keys() == {"dataset"}
