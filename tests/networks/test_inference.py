"""Trained networks where they are used: loaded once, and their maps over scales and mirror images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from seedbed.networks import inference
from seedbed.networks.contracts import SegmentationNetwork
from seedbed.networks.inference import TrainedNetwork, combine_views, group_by_size
from tests.support.learning import published

sums = partial(combine_views, interpolation="bilinear", by=torch.add)
IMAGE = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)


def first(maps: Iterator[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Maps of the only image."""
    (only,) = maps
    return only


def colours(images_BCYX: Tensor) -> Tensor:
    """A network that repeats what it sees."""
    return images_BCYX


def test_one_view_is_what_the_network_says() -> None:
    maps = first(sums(colours, [IMAGE], scales=[1.0], flip=False, size=(6, 10), device="cpu"))
    assert maps.dtype == np.float32
    assert np.allclose(maps, np.moveaxis(IMAGE, -1, 0) / 255, atol=1e-6)


def test_the_mirror_image_is_turned_back_before_it_is_added() -> None:
    maps = first(sums(colours, [IMAGE], scales=[1.0], flip=True, size=(6, 10), device="cpu"))
    assert np.allclose(maps, 2.0 * np.moveaxis(IMAGE, -1, 0) / 255, atol=1e-6)


def test_what_a_network_sees_only_on_the_left_is_seen_on_both_sides() -> None:
    def left(images_BCYX: Tensor) -> Tensor:
        seen = torch.zeros_like(images_BCYX[:, :1])
        seen[..., :2] = 1
        return seen

    maps = first(sums(left, [IMAGE], scales=[1.0], flip=True, size=(6, 10), device="cpu"))
    assert maps[0, 0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("flip", [False, True])
def test_a_network_gets_every_scale_once_and_its_mirror_image_beside_it(flip: bool) -> None:
    seen: list[tuple[int, ...]] = []

    def watched(images_BCYX: Tensor) -> Tensor:
        seen.append(tuple(images_BCYX.shape))
        return images_BCYX

    maps = first(sums(watched, [IMAGE], scales=[1.0, 0.5, 1.5], flip=flip, size=(3, 4), device="cpu"))
    views = 2 if flip else 1
    assert seen == [(views, 3, 6, 10), (views, 3, 3, 5), (views, 3, 9, 15)]
    assert maps.shape == (3, 3, 4)


def test_scales_count_alike() -> None:
    grey = np.full((6, 10, 3), 51, np.uint8)
    maps = first(sums(colours, [grey], scales=[1.0, 0.5, 2.0], flip=True, size=(4, 7), device="cpu"))
    assert np.allclose(maps, 6 * 0.2)


def test_a_very_small_scale_keeps_a_pixel() -> None:
    assert first(sums(colours, [IMAGE], scales=[0.01], flip=False, size=(2, 3), device="cpu")).shape == (3, 2, 3)


@pytest.mark.parametrize("flip", [False, True])
def test_images_of_one_size_are_run_at_once_and_each_gets_its_own_maps(flip: bool) -> None:
    others = [np.random.default_rng(number).integers(0, 256, IMAGE.shape, dtype=np.uint8) for number in (1, 2)]
    seen: list[int] = []

    def watched(images_BCYX: Tensor) -> Tensor:
        seen.append(len(images_BCYX))
        return images_BCYX

    scales, size = [1.0, 0.5], (3, 4)
    maps = list(sums(watched, [IMAGE, *others], scales=scales, flip=flip, size=size, device="cpu"))
    assert seen == [6 if flip else 3] * 2
    for image, found in zip([IMAGE, *others], maps, strict=True):
        assert np.array_equal(found, first(sums(colours, [image], scales=scales, flip=flip, size=size, device="cpu")))


def test_a_gpu_is_given_images_of_one_size_together_and_a_cpu_one_at_a_time() -> None:
    images = [np.zeros(size, np.uint8) for size in ((4, 6, 3), (6, 4, 3), (4, 6, 3))]
    assert group_by_size(images, device="cuda") == [[0, 2], [1]]
    assert group_by_size(images, device="cpu") == [[0], [1], [2]]


# --- A network that a stage trained ---


@pytest.fixture
def trained(tmp_path: Path, small_method: Callable[[str, str], Any]) -> Callable[..., TrainedNetwork[SegmentationNetwork]]:
    """A segmenter with weights that its name decides."""
    method = small_method("segmenter", "pseudo_masks")

    def train(name: str, *, seed: int = 0) -> TrainedNetwork[SegmentationNetwork]:
        torch.manual_seed(seed)
        return TrainedNetwork(method, (3,), published("segmenter", method.network(3), tmp_path / name), "cpu")

    return train


def test_a_trained_network_is_known_by_its_weights(trained: Callable[..., TrainedNetwork[SegmentationNetwork]]) -> None:
    one, same, other = trained("one"), trained("same"), trained("other", seed=1)
    assert one.key("a") == one.key("b") == same.key("a") != other.key("a")


def test_a_trained_network_is_loaded_once_and_ready_to_be_used(trained: Callable[..., TrainedNetwork[SegmentationNetwork]]) -> None:
    one = trained("one")
    network = one.load()
    assert not network.training
    assert one.load() is network
    travelled: TrainedNetwork[SegmentationNetwork] = ForkingPickler.loads(ForkingPickler.dumps(one))
    assert travelled.load() is network
    loaded = {name: value.numpy() for name, value in network.state_dict().items()}
    assert all(np.array_equal(value, loaded[name]) for name, value in one.artifact.weights().items())


def test_the_next_trained_network_takes_the_place_of_the_last(trained: Callable[..., TrainedNetwork[SegmentationNetwork]]) -> None:
    one, other = trained("one"), trained("other", seed=1)
    states = [dict(network.load().state_dict()) for network in (one, other, one)]
    assert all(torch.equal(value, states[2][name]) for name, value in states[0].items())
    assert not all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert len(inference._LOADED) == 1  # two would not fit on a GPU


def test_a_view_has_a_row_and_a_column_at_the_least() -> None:
    sizes = list[tuple[int, ...]]()

    def run(images: Tensor) -> Tensor:
        sizes.append(tuple(images.shape[-2:]))
        return images

    image = np.zeros((1, 5, 3), np.uint8)
    [maps] = combine_views(run, [image], scales=[0.25], flip=False, size=(1, 5), device="cpu", interpolation="bilinear", by=torch.add)
    assert sizes == [(1, 1)] and maps.shape == (3, 1, 5)
