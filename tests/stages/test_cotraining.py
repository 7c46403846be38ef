"""Masks whose pixels are ranked, and two segmenters that learn from the better half of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seedbed.reads import Labels, read_entry
from seedbed.store.artifact import open_artifact
from seedbed.tools.verify import verify
from seedbed.types import PARTS
from tests.stages.miniature import Project, tree
from tests.stages.surviving import change_params, heard
from tests.stages.test_affinities import walk

pytestmark = pytest.mark.usefixtures("blank_charts")
CONFIDENT = {"labels": "refinement", "regions": "none", "confidence": "refinement", "objects": "none"}


@pytest.mark.slow
def test_ranked_masks_are_judged_whole_and_their_surer_half_is_learned_from(finished: Project, tmp_path: Path) -> None:
    project = walk(finished, tmp_path, "irn")
    block = project.params()["refinement"]["irn"] | {"confidence": "margin_rank"}
    change_params(project, "refinement", irn=block)
    change_params(project, "segmenter", method="cotraining", maps=CONFIDENT)
    project.run("refinement", "segmenter", "predictions", "evaluation")
    masks, segmenter = (open_artifact(name, folder=project.data) for name in ("refinement", "segmenter"))
    contained = Labels(open_artifact("dataset", folder=project.data))
    for image_id in masks.ids:
        labels, confidence = (read_entry(masks, name, image_id) for name in ("labels", "confidence"))
        assert {*np.unique(labels).tolist()} <= {0, *contained[image_id]}
        for label in np.unique(labels):
            own = confidence[labels == label]
            assert own.max() == PARTS and (own >= 0.5 * PARTS).sum() >= -(-own.size // 2)
    figures = {str(one) for one in segmenter.array("figures")}
    assert {"first", "second", "first_from_second", "second_from_first", "trusted", "doubtful"} <= figures
    assert segmenter.made_by.inputs.keys() == {"dataset", "refinement"}
    own_weights = {*segmenter.weights()}
    assert own_weights and all(name.startswith(("backbone.", "branches.")) for name in own_weights), "one network is kept"
    judged = json.loads((project.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    assert judged["masks"]["coverage"] == 1 and 0 <= judged["predictions"]["miou"] <= 1, "whole masks are judged"
    assert all(verify(name, folder=project.data).sound for name in ("refinement", "segmenter", "evaluation"))

    # Another share makes no masks anew.
    before, weights = tree(project.data / "refinement.zarr"), tree(project.data / "segmenter.zarr")
    block = project.params()["segmenter"]["cotraining"]
    change_params(project, "segmenter", cotraining=block | {"least_confidence": 0.8})
    assert "reused" in heard(project, "refinement")
    project.run("segmenter")
    assert tree(project.data / "refinement.zarr") == before and tree(project.data / "segmenter.zarr") != weights
