"""No features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seedbed.errors import ParamsError
from seedbed.store.artifact import open_artifact
from seedbed.superpixels.dino import Dino
from seedbed.tools.components import write_components
from seedbed.tools.verify import verify
from seedbed.types import Image, PatchFeatures, RegionMap
from tests.stages.miniature import Project, new_project


@pytest.fixture
def without(tmp_path: Any, original: dict[str, Any]) -> Project:
    """A project without features."""
    project = new_project(tmp_path / "project", original)
    project.write_params(
        project.params() | {"features": {"method": "none", "pretraining": "none", "scale": 1, "mirrored": False, "none": {}}}
    )
    project.run("dataset", "pretraining", "features")
    return project


def test_the_artifact_is_empty_and_sound(without: Project) -> None:
    made = open_artifact("features", folder=without.data)
    assert (made.ids, made.made_by.method, made.entry("patches", ...).shape) == ([], "none", (0, 1, 1, 1))
    assert verify("features", folder=without.data).sound
    with pytest.raises(ParamsError, match=r"found no features; expected features to fit to; select a method of features in params.yaml"):
        write_components(made, 3, without.root / "components.safetensors", images=9)


def test_superpixels_that_need_features_refuse_it_and_others_do_not_care(without: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = r"features.method: found 'none'; expected one that describes images, because superpixels.dino needs features; select one, or"
    with pytest.raises(ParamsError, match=expected):
        without.run("superpixels")

    def halves(_: Dino, image: Image, patches: PatchFeatures, *, device: str) -> RegionMap:
        assert patches.values.size == 0
        return np.asarray(np.indices(image.shape[:2])[0] > 9, np.int32)

    monkeypatch.setattr(Dino, "needs_features", False)
    monkeypatch.setattr(Dino, "segment", halves)
    monkeypatch.setattr(Dino, "memory", lambda *_: 0)  # of patches
    with pytest.raises(ParamsError, match=r"superpixels.features: found 'features'; expected 'none', unless the selected method needs"):
        without.run("superpixels")
    content = without.params()
    content["superpixels"]["features"] = "none"
    without.write_params(content)
    without.run("superpixels")
    made = open_artifact("superpixels", folder=without.data)
    assert len(made.ids) == 9 and (made.array("region_count") == 2).all()
