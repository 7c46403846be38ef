"""The network of a method of features: built once, with its own weights or those of a pretraining."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedbed.algorithms.resizing import resize
from seedbed.errors import ParamsError
from seedbed.networks.feature_network import FeatureNetwork
from seedbed.types import Alignment, cells
from tests.support.learning import published
from tests.support.oracles import photograph


def test_a_network_is_built_once_and_gives_way_to_another(small_method: Callable[[str, str], Any]) -> None:
    method = small_method("features", "vit")
    first = FeatureNetwork(method, "cpu", None).load()
    assert not first.training and FeatureNetwork(dataclasses.replace(method), "cpu", None).load() is first
    other = FeatureNetwork(dataclasses.replace(method, what="tokens"), "cpu", None).load()
    assert other is not first
    assert FeatureNetwork(method, "cpu", None).load() is not first, "one is kept at a time"


def test_it_is_known_by_how_images_are_shown(small_method: Callable[[str, str], Any]) -> None:
    method = small_method("features", "vit")
    ways = [FeatureNetwork(method, "cpu", None, *way).key("any") for way in ((), (2.0,), (1.0, True))]
    assert len(set(ways)) == 3 and ways[0] == FeatureNetwork(method, "cpu", None, 1.0, False).key("other")


def test_a_method_without_a_network_has_none(small_method: Callable[[str, str], Any]) -> None:
    assert FeatureNetwork(small_method("features", "texture"), "cpu", None).load() is None


def test_weights_of_a_pretraining_are_those_of_the_trunk(small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    method = small_method("features", "vit")
    method = dataclasses.replace(method, initial_weights=dataclasses.replace(method.initial_weights, source="pretraining"))
    trunk = method.network().trunk
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.add_(1)
    artifact = published("pretraining", trunk, tmp_path)
    network = FeatureNetwork(method, "cpu", artifact)
    loaded = network.load().trunk.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in trunk.state_dict().items())
    assert artifact.weights_digest in network.key("any")


@pytest.mark.parametrize(("scale", "edge", "grid"), [(2.0, 8, (5, 8)), (0.5, 32, (2, 2)), (1.0, 16, (3, 4))])
def test_patches_of_resized_images_cover_less_or_more(
    scale: float, edge: int, grid: tuple[int, int], small_method: Callable[[str, str], Any]
) -> None:
    method, image = small_method("features", "vit"), photograph((37, 58))
    network = FeatureNetwork(method, "cpu", None, scale)
    [patches] = network.describe([image])
    assert (patches.patch_size, patches.values.shape[:2], patches.alignment) == (edge, grid, Alignment.RESIZED)
    assert network.extents((37, 58)) == {"patch_y": grid[0], "patch_x": grid[1], "channel": method.num_channels}
    assert network.patch_size == edge
    size = (37, 58) if scale == 1 else (16 * grid[0], 16 * grid[1])  # whole patches, at once
    shown = resize(image, size, interpolation="antialiased_cubic")
    [expected] = method.describe([shown], network.load(), device="cpu")
    assert np.array_equal(patches.values, expected.values)
    assert patches.on_pixels(np.arange(grid[0] * grid[1]).reshape(grid), (37, 58)).max() == grid[0] * grid[1] - 1
    assert scale != 1 or np.array_equal(shown, image)


def test_patches_of_a_mirrored_image_lie_where_they_do_in_the_image(small_method: Callable[[str, str], Any]) -> None:
    method, image = small_method("features", "vit"), photograph((37, 58))
    network = FeatureNetwork(method, "cpu", None, 1.0, True)
    [patches], [plain] = network.describe([image]), FeatureNetwork(method, "cpu", None).describe([image])
    [expected] = method.describe([np.ascontiguousarray(image[:, ::-1])], network.load(), device="cpu")
    assert np.array_equal(patches.values, expected.values[:, ::-1])
    assert not np.allclose(patches.values, plain.values) and patches.patch_size == plain.patch_size


def test_how_images_cannot_be_shown(small_method: Callable[[str, str], Any]) -> None:
    method, padded = small_method("features", "vit"), small_method("features", "texture")
    expected = r"features.scale: found 0.75, with which a patch of 16 covers 21.33 pixels; expected a whole number of pixels; correct one"
    with pytest.raises(ParamsError, match=expected):
        FeatureNetwork(method, "cpu", None, 0.75).check("features")
    expected = (
        "features_other.mirrored: found True for features.texture, which pads images at one side; expected False, or a method that resizes"
    )
    with pytest.raises(ParamsError, match=expected):
        FeatureNetwork(padded, "cpu", None, 1.0, True).check("features_other")
    FeatureNetwork(padded, "cpu", None, 2.0).check("features")
    FeatureNetwork(small_method("features", "none"), "cpu", None, 2.0, True).check("features")


@pytest.mark.parametrize("scale", [0.56007, 14.002, 16.0])
def test_a_scale_is_no_other_fraction(scale: float, small_method: Callable[[str, str], Any]) -> None:
    method = dataclasses.replace(small_method("features", "vit"), patch_size=14)
    with pytest.raises(ParamsError, match="expected a whole number of pixels"):
        FeatureNetwork(method, "cpu", None, scale).check("features")


@pytest.mark.parametrize(("scale", "edge"), [(2.3333333, 6), (0.56, 25), (0.56003, 25), (14.0, 1)])
def test_a_scale_may_be_a_rounded_fraction(scale: float, edge: int, small_method: Callable[[str, str], Any]) -> None:
    method = dataclasses.replace(small_method("features", "vit"), patch_size=14)
    network = FeatureNetwork(method, "cpu", None, scale)
    network.check("features")
    assert network.patch_size == edge
    for length in range(1, 200):
        grid = cells((length, 3 * length), edge)
        assert network.extents((length, 3 * length)) == {"patch_y": grid[0], "patch_x": grid[1], "channel": method.num_channels}


def test_padded_images_of_half_the_size_keep_their_grid(small_method: Callable[[str, str], Any]) -> None:
    method = dataclasses.replace(small_method("features", "texture"), patch_size=4)
    [patches] = FeatureNetwork(method, "cpu", None, 0.5).describe([photograph((37, 58))])
    assert (patches.patch_size, patches.values.shape[:2], patches.alignment) == (8, (5, 8), Alignment.PADDED)


def test_mirrored_images_are_described_but_not_exported(small_method: Callable[[str, str], Any]) -> None:
    network = FeatureNetwork(small_method("features", "vit"), "cpu", None, 1.0, True)
    network.check("features")
    assert network.exportable() is None
