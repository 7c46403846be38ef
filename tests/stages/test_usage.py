"""A transformer with a token for each class, by the stages: its training, and class maps at several scales that attention fuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from seedbed.reads import Maps
from seedbed.store.artifact import open_artifact
from tests.stages.miniature import Project

pytestmark = pytest.mark.usefixtures("blank_charts")


def with_transformer(project: Project, **layers: int) -> Project:
    """The same project with a transformer as classifier, whose attention makes class maps."""
    content = project.params()
    content["classifier"]["method"], block = "usage", content["classifier"]["usage"]
    block["backbone"] |= {"network": "test_vit", "output_stride": 16}
    block["class_tokens"] = True
    content["cams"]["method"] = "attention"
    content["cams"]["attention"] |= {"class_layers": 2, "patch_layers": 3, "scales": [1, 0.5, 1.5], **layers}
    project.write_params(content)
    return project


def class_maps(project: Project) -> list[npt.NDArray[np.float32]]:
    """Of every image, the maps of its classes."""
    made = open_artifact("cams", folder=project.data)
    return [Maps(made)[image].maps for image in made.ids]


@pytest.mark.slow
def test_maps_of_a_transformer(finished: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = with_transformer(finished.copy_to(tmp_path / "project"))
    project.run("classifier", "cams")
    trained = open_artifact("classifier", folder=project.data)
    assert {"classes", "tokens", "consistency", "status"} < {str(one) for one in trained.array("figures")}
    count = open_artifact("dataset", folder=project.data).num_classes
    weights = dict(trained.weights())
    assert weights["backbone.trunk.cls_token"].shape[1] == count and not any(name.startswith("other") for name in weights)
    fused = class_maps(project)
    assert all(one.min() >= 0 and one.max() == pytest.approx(1, abs=1e-3) for one in fused if one.size)
    assert any(one.size for one in fused)

    without = with_transformer(project.copy_to(tmp_path / "without"), class_layers=0, patch_layers=0)
    without.run("classifier", "cams")
    assert "classifier: reused, because nothing that it learns from has changed" in capsys.readouterr().err
    plain = class_maps(without)
    assert any(not np.allclose(one, other, atol=1e-2) for one, other in zip(fused, plain, strict=True))
