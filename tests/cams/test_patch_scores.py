"""Class maps of a linear layer on features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.cams.multiscale import Multiscale
from seedbed.cams.patch_scores import PatchScores
from seedbed.networks.contracts import ClassifierNetwork
from seedbed.networks.feature_network import FeatureNetwork
from seedbed.types import Alignment, LinearHead, PatchFeatures, cells
from tests.support.learning import linear_head
from tests.support.oracles import photograph

RANDOM = np.random.default_rng(3)


def test_scores_are_cut_at_zero_and_divided_by_their_maximum() -> None:
    head = LinearHead(np.array([[1, 0], [0, 1]], np.float32), np.array([0.5, -0.5], np.float32))
    patches = PatchFeatures(np.array([[[1, -1], [3, -2]]], np.float32), 4, Alignment.RESIZED)
    image = np.zeros((4, 8, 3), np.uint8)
    for offset, expected in ((False, [1 / 3, 1]), (True, [1.5 / 3.5, 1])):
        [(maps, scores)] = PatchScores(offset=offset, stride=4).compute(head, [image], [[patches]], [(1, 2)], device="cpu")
        assert maps.classes == (1, 2)
        assert maps.maps[0, 0] == pytest.approx(expected) and not maps.maps[1].any()
        assert scores == pytest.approx([0, 1 / (1 + np.exp(-2.5)), 1 / (1 + np.exp(2))])


@pytest.mark.parametrize("alignment", list(Alignment))
@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("edges", [(8,), (8, 4)])
def test_the_whole_is_a_pointwise_convolution_resized_and_added_up(edges: tuple[int, ...], alignment: Alignment, offset: bool) -> None:
    head, size = linear_head(), (37, 58)
    views = [PatchFeatures(RANDOM.standard_normal((*cells(size, edge), 4)).astype(np.float32), edge, alignment) for edge in edges]
    image = np.zeros((*size, 3), np.uint8)
    [(maps, scores)] = PatchScores(offset=offset, stride=3).compute(head, [image], [views], [(1, 3)], device="cpu")
    total, means = np.zeros((2, 13, 20)), []
    for patches in views:
        vectors = torch.from_numpy(patches.values).permute(2, 0, 1)[None]
        logits = functional.conv2d(vectors, torch.from_numpy(head.weight)[:, :, None, None], torch.from_numpy(head.offset))
        means.append(logits.mean(dim=(0, 2, 3)))
        shown = logits[:, [0, 2]] - (0 if offset else torch.from_numpy(head.offset[[0, 2]])[None, :, None, None])
        # Cells cover equal parts of the image; padded patches reach beyond it.
        y, x = ((np.arange(count) + 0.5) / count for count in (13, 20))
        if alignment is Alignment.PADDED:
            rows, columns = patches.values.shape[:2]
            y, x = y * 37 / (rows * patches.patch_size), x * 58 / (columns * patches.patch_size)
        grid = torch.from_numpy(np.stack(np.meshgrid(2 * x - 1, 2 * y - 1), axis=-1).astype(np.float32))[None]
        total += functional.grid_sample(shown.clamp(min=0), grid, mode="bilinear", padding_mode="border", align_corners=False)[0].numpy()
    assert scores[1:] == pytest.approx(torch.stack(means).mean(dim=0).sigmoid().numpy(), abs=1e-6)
    assert maps.maps == pytest.approx(total / total.max(axis=(1, 2), keepdims=True), abs=1e-5)


class Run(ClassifierNetwork):
    """The same linear layer behind the network of features, run as one network."""

    def __init__(self, trunk: Any, head: LinearHead) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        scores_ByxK = self.trunk(images_BCYX) @ torch.from_numpy(self.head.weight).T + torch.from_numpy(self.head.offset)
        return scores_ByxK.permute(0, 3, 1, 2), scores_ByxK.mean(dim=(1, 2))


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 2.0)])
@pytest.mark.parametrize("flip", [False, True])
def test_maps_are_those_of_the_layer_run_as_a_network_at_several_scales(
    scales: tuple[float, ...], flip: bool, small_method: Callable[[str, str], Any]
) -> None:
    method, image = dataclasses.replace(small_method("features", "cnn"), centred=False), photograph((48, 64))  # whole patches
    ways = [(scale, mirrored) for scale in scales for mirrored in ((False, True) if flip else (False,))]
    views = [patches for way in ways for patches in FeatureNetwork(method, "cpu", None, *way).describe([image])]
    random = np.random.default_rng(2)
    head = LinearHead(random.standard_normal((3, method.num_channels)).astype(np.float32), random.standard_normal(3).astype(np.float32))
    [(maps, scores)] = PatchScores(offset=True, stride=8).compute(head, [image], [views], [(1, 3)], device="cpu")
    network = Run(FeatureNetwork(method, "cpu", None).load(), head).eval()
    whole = Multiscale(scales=scales, interpolation="antialiased_cubic", flip=flip, over_scales="sum", stride=8)
    [(expected, probabilities)] = whole.compute(network, [image], [()], [(1, 3)], device="cpu")
    assert maps.classes == expected.classes and np.ptp(maps.maps) > 0.5
    assert maps.maps == pytest.approx(expected.maps, abs=1e-5)
    assert scores == pytest.approx(probabilities, abs=1e-5)


def test_a_map_of_noise_is_not_scaled() -> None:
    head = LinearHead(np.full((1, 1), 1e-7, np.float32), np.zeros(1, np.float32))
    patches = PatchFeatures(np.ones((1, 2, 1), np.float32), 4, Alignment.RESIZED)
    [(maps, _)] = PatchScores(offset=False, stride=4).compute(head, [np.zeros((4, 8, 3), np.uint8)], [[patches]], [(1,)], device="cpu")
    assert maps.maps.max() == pytest.approx(0.01)
