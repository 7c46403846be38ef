"""What every description of patches promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from seedbed import methods
from seedbed.networks.feature_network import FeatureNetwork
from seedbed.types import Alignment, Image, PatchFeatures, cells

AVAILABLE = methods.list_available("features")
NAMES = [name for name in AVAILABLE if not methods.load("features", name).makes_nothing]
SIZES = [(24, 40), (17, 33), (41, 9), (3, 50)]  # whole patches, one pixel too many, and less than a patch


def images() -> list[Image]:
    """Random images of several sizes, none of them square."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


def describe(method: Any, given: list[Image]) -> list[PatchFeatures]:
    """Features as the stage asks for them, by a network that is the same each time."""
    described: list[PatchFeatures] = method.describe(given, method.network(), device="cpu")
    return described


@pytest.mark.parametrize("name", NAMES)
def test_the_grid_covers_the_image(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("features", name)
    for image, patches in zip(images(), describe(method, images()), strict=True):
        assert patches.patch_size == method.patch_size
        assert patches.alignment is method.alignment and isinstance(method.alignment, Alignment)
        assert patches.values.shape == (*cells(image.shape[:2], method.patch_size), method.num_channels)
        assert patches.values.dtype == np.float32
        assert np.isfinite(patches.values).all()


@pytest.mark.parametrize("name", NAMES)
def test_company_changes_nothing(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("features", name)
    together = describe(method, images())
    for image, patches in zip(images(), together, strict=True):
        [alone] = describe(method, [image])
        assert np.array_equal(alone.values, patches.values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, 130, 255])
def test_an_image_of_one_colour_has_finite_features(name: str, value: int, small_method: Callable[[str, str], Any]) -> None:
    [patches] = describe(small_method("features", name), [np.full((17, 33, 3), value, np.uint8)])
    assert np.isfinite(patches.values).all()


@pytest.mark.parametrize("name", NAMES)
def test_images_stay_as_they_are(name: str, small_method: Callable[[str, str], Any]) -> None:
    given = images()
    describe(small_method("features", name), given)
    assert all(np.array_equal(one, other) for one, other in zip(given, images(), strict=True))


@pytest.mark.parametrize("name", AVAILABLE)
def test_whether_a_network_runs_is_known_before_it_is_built(name: str, small_method: Callable[[str, str], Any]) -> None:
    """Where none runs, no GPU is asked for."""
    method = small_method("features", name)
    assert method.uses_gpu is (method.network() is not None)


@pytest.mark.parametrize("name", NAMES)
def test_no_image_has_no_features(name: str, small_method: Callable[[str, str], Any]) -> None:
    assert describe(small_method("features", name), []) == []


@pytest.mark.parametrize("name", sorted({*AVAILABLE} - {*NAMES}))
def test_what_describes_no_image_describes_none(name: str, small_method: Callable[[str, str], Any]) -> None:
    """Nothing else can be asked of it: its artifact is empty, and whoever needs features refuses it."""
    assert describe(small_method("features", name), images()) == []


@pytest.mark.parametrize("name", NAMES)
def test_drawn_weights_are_the_same_in_every_process_and_cost_no_draws(name: str, small_method: Callable[[str, str], Any]) -> None:
    drawn, method = [], small_method("features", name)
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        network = method.network()
        drawn.append({} if network is None else network.state_dict())
        assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, drawn[1][key]) for key, value in drawn[0].items())


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_exported_describes_alike(name: str, scale: float, small_method: Callable[[str, str], Any]) -> None:
    """An image of whole patches exactly; of others, bytes are not rounded when the image is resized."""
    describer = FeatureNetwork(small_method("features", name), "cpu", None, scale)
    exported = describer.exportable()
    assert (exported is None) == (describer.load() is None)
    if exported is None:
        return
    for image, patches in zip(images(), describer.describe(images()), strict=True):
        with torch.inference_mode():
            found = exported(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0].permute(1, 2, 0).numpy()
        whole = scale == 1 and all(length % describer.patch_size == 0 for length in image.shape[:2])
        differs = np.linalg.norm(found - patches.values) / np.linalg.norm(patches.values)
        assert differs < (1e-5 if whole else 0.1), (name, scale, image.shape, differs)
