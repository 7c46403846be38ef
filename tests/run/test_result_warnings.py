"""Results of little use are warned of, and others are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seedbed.run import result_warnings
from seedbed.store.artifact import Artifact
from tests.support.publishing import published


def class_maps(folder: Path, heights: list[tuple[float, ...]]) -> Artifact:
    """Class maps of images that contain the first classes, and how high each map is in its middle."""
    rows = []
    for number, image in enumerate(heights):
        maps = np.zeros((3, 4, 6), np.float32)
        maps[1 : 1 + len(image), 2, 3] = image
        present = np.arange(3) <= len(image)
        present[0] = False
        rows.append({"ids": f"{number}", "size": (8, 12), "scores": np.zeros(3), "present": present, "map_size": (4, 6), "maps": maps})
    return published("cams", folder, rows, extents={"class": 3, "map_y": 4, "map_x": 6})


def test_a_classifier_that_finds_its_classes_nowhere_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result_warnings.warn_of_empty_class_maps(class_maps(tmp_path, [(0.0,), (0.05, 0.0), (0.0, 0.0)] * 4 + [(0.0, 1.0)]))
    assert capsys.readouterr().err == (
        "cams: warning: 21 of 22 sampled class maps are empty: the classifier finds its classes nowhere, and a segmenter would learn that "
        "everything is background; look at data/plots/classifier.csv, and train the classifier longer, with another learning_rate, or "
        "from initial weights\n"
    )


@pytest.mark.parametrize("heights", [[(1.0,)], [(0.0, 0.0), (1.0, 0.2)], [(), ()], []])
def test_nothing_is_said_of_maps_that_show_something_nor_where_there_are_none(
    heights: list[tuple[float, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result_warnings.warn_of_empty_class_maps(class_maps(tmp_path, heights))
    assert capsys.readouterr().err == ""


def test_of_many_images_some_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result_warnings.warn_of_empty_class_maps(class_maps(tmp_path, [(0.0,)] * (2 * result_warnings.SAMPLED_IMAGES)))
    looked_at = int(capsys.readouterr().err.split()[2])
    assert result_warnings.SAMPLED_IMAGES / 2 < looked_at <= result_warnings.SAMPLED_IMAGES
