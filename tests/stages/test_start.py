"""A segmenter that starts from the classifier: what it depends on then, and what not otherwise."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from seedbed.store.artifact import open_artifact
from tests.stages.miniature import Project
from tests.stages.surviving import change_params, heard

pytestmark = pytest.mark.slow  # what the contracts of learners and the laws of the pipeline prove in the small

REUSED = "segmenter: reused, because nothing that it learns from has changed"


def first_layer(project: Project, stage: str) -> npt.NDArray[Any]:
    """Weights of the first convolution of a stage's network."""
    return open_artifact(stage, folder=project.data).weights()["backbone.trunk.conv1.0.weight"]


def trained_otherwise(project: Project) -> None:
    """Let the classifier have other weights."""
    cam = project.params()["classifier"]["cam"]
    change_params(project, "classifier", cam=cam | {"training": cam["training"] | {"seed": 7}})
    project.run("classifier")


def start_from_classifier(project: Project) -> None:
    """Let the selected segmenter start from the classifier, and hardly learn."""
    content = project.params()
    selected = content["segmenter"]["method"]
    block: dict[str, Any] = copy.deepcopy(content["segmenter"][selected])
    block["backbone"]["initial_weights"]["source"] = "classifier"
    block["descent"]["learning_rate"] = 1e-9
    change_params(project, "segmenter", start="classifier", **{selected: block})


def test_a_segmenter_that_starts_from_the_classifier(finished: Project, tmp_path: Path) -> None:
    project = finished.copy_to(tmp_path)
    start_from_classifier(project)
    assert REUSED not in heard(project, "segmenter")
    assert set(open_artifact("segmenter", folder=project.data).made_by.inputs) == {"dataset", "seeds", "superpixels", "classifier"}
    first = first_layer(project, "segmenter")
    assert np.allclose(first, first_layer(project, "classifier"), atol=1e-4)
    assert REUSED in heard(project, "segmenter")
    trained_otherwise(project)
    assert REUSED not in heard(project, "segmenter")
    again = first_layer(project, "segmenter")
    assert np.allclose(again, first_layer(project, "classifier"), atol=1e-4) and not np.allclose(again, first, atol=1e-4)
    project.run("predictions")


@pytest.mark.slow
def test_a_segmenter_that_starts_elsewhere_does_not_mind_the_classifier(finished: Project, tmp_path: Path) -> None:
    project = finished.copy_to(tmp_path)
    trained_otherwise(project)
    assert REUSED in heard(project, "segmenter")
    assert set(open_artifact("segmenter", folder=project.data).made_by.inputs) == {"dataset", "seeds", "superpixels"}
