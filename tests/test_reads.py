"""What artifacts hold, as methods take it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seedbed.reads import Patches, PixelLabels, Regions, read_entry
from seedbed.types import Alignment
from tests.support.publishing import published

EXTENTS = {"y": 7, "x": 9, "class": 3, "map_y": 4, "map_x": 5, "patch_y": 2, "patch_x": 3, "channel": 2}


def test_features_that_are_not_wanted_are_one_patch_without_channels(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    whole = {"patch_size": 4, "alignment": Alignment.RESIZED, "mirrored": False}
    features = published("features", tmp_path, [{"ids": "a", "size": (7, 9), "patches": values}], whole=whole, extents=EXTENTS)
    wanted, unwanted = Patches(features), Patches(None)
    assert np.array_equal(wanted["a"].values, values) and wanted.key("a") == features.key("a") != ""
    nothing = unwanted["a"]
    assert nothing.values.shape == (1, 1, 0) and nothing.values.dtype == np.float32 and nothing.patch_size == 1
    assert nothing.alignment is Alignment.PADDED and unwanted.key("a") == ""


def test_superpixels_that_are_not_wanted_are_one_for_the_whole_image(tmp_path: Path) -> None:
    rows = [{"ids": "a", "size": (2, 3), "regions": np.array([[0, 0, 1], [2, 1, 1]]), "region_count": 3}]
    superpixels = published("superpixels", tmp_path, rows, extents=EXTENTS)
    assert Regions(superpixels).of("a", (2, 3)).tolist() == [[0, 0, 1], [2, 1, 1]]
    assert Regions(superpixels).key("a") == superpixels.key("a") != ""
    nothing = Regions(None).of("a", (2, 3))
    assert nothing.tolist() == [[0, 0, 0], [0, 0, 0]] and nothing.dtype == np.int32 and Regions(None).key("a") == ""


def test_an_entry_that_has_no_padding_is_read_as_it_is(tmp_path: Path) -> None:
    row = {"ids": "a", "size": (7, 9), "present": [False, True, False], "maps": np.zeros((3, 2, 5), np.float32)}
    rows = [{**row, "scores": [0, 0.25, 0.5]}, {**row, "ids": "b", "scores": [0, 0.75, 1]}]
    maps = published("cams", tmp_path, rows, extents=EXTENTS)
    assert read_entry(maps, "scores", "b").tolist() == [0, 0.75, 1]
    assert read_entry(maps, "maps", "b").shape == (3, 2, 5)


def test_labels_are_those_that_are_stored_or_the_likeliest_at_the_size_of_the_image(tmp_path: Path) -> None:
    labels = np.array([[0, 2, 255], [1, 1, 0]], np.uint8)
    row = {"ids": "one", "size": (2, 3), "labels": labels, "corrected": False}
    seeds = published("seeds", tmp_path, [row], extents={"y": 4, "x": 4})
    assert PixelLabels(seeds).of("one", (2, 3)).tolist() == labels.tolist()
    probabilities = np.zeros((3, 1, 2), np.uint8)
    probabilities[1, 0] = 255, 0
    probabilities[2, 0] = 0, 255
    row = {"ids": "one", "size": (2, 6), "map_size": (1, 2), "probabilities": probabilities}
    predictions = published("predictions", tmp_path, [row], extents={"class": 3, "map_y": 2, "map_x": 3})
    assert PixelLabels(predictions).of("one", (2, 6)).tolist() == [[1, 1, 1, 2, 2, 2]] * 2


def test_without_labels_all_is_background() -> None:
    assert PixelLabels(None).of("any", (2, 3)).tolist() == [[0, 0, 0]] * 2 and PixelLabels(None).key("any") == ""
