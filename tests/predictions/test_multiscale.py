"""Probabilities over scales and mirror images."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.networks.contracts import SegmentationNetwork
from seedbed.predictions.multiscale import Multiscale
from seedbed.types import PatchFeatures
from tests.support.toys import LeaningSegmenter, ToySegmenter

METHOD = Multiscale(scales=(1.0, 0.75, 1.25), flip=True, over_scales="mean_probability", stride=2)
NOTHING: list[list[PatchFeatures]] = [[]]  # in place of features
IMAGE = np.random.default_rng(0).integers(0, 256, (13, 22, 3), dtype=np.uint8)


class Bright(SegmentationNetwork):
    """Class 1 where the image is bright, with the odds that its brightness says."""

    def forward(self, images_BCYX: Tensor) -> Tensor:
        bright_BYX = images_BCYX.mean(dim=1)
        return torch.stack([torch.zeros_like(bright_BYX), 4 * bright_BYX - 2], dim=1)


@pytest.mark.parametrize("flip", [False, True])
def test_the_whole_written_down_view_by_view(flip: bool) -> None:
    """By hand: every view's logits or probabilities, brought to the cells that are kept, then the largest, or their mean."""
    network, size = LeaningSegmenter(3), (5, 8)
    logits: list[Tensor] = []
    probabilities: list[Tensor] = []
    for height, width in ((16, 26), (8, 13)):  # of 13 x 22
        image = torch.from_numpy(cv2.resize(IMAGE, (width, height))).permute(2, 0, 1)[None].float() / 255
        for mirrored in (False, True) if flip else (False,):
            said = network(image.flip(-1)).flip(-1) if mirrored else network(image)
            for views, maps in ((logits, said), (probabilities, said.softmax(dim=1))):
                views.append(functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)[0])
    mean, largest = torch.stack(probabilities).mean(dim=0), torch.stack(logits).amax(dim=0).softmax(dim=0)
    assert not torch.allclose(mean, largest, atol=1e-2)
    averaged = Multiscale(scales=(1.2, 0.6), flip=flip, over_scales="mean_probability", stride=3)
    for method, expected in ((averaged, mean), (dataclasses.replace(averaged, over_scales="largest_logit"), largest)):
        assert np.allclose(method.predict(network, [IMAGE], NOTHING, device="cpu")[0].maps, expected.numpy(), atol=1e-5)


def test_a_coarser_map_is_the_same_seen_with_fewer_cells() -> None:
    """What is kept is what is enlarged again: one cell per `stride` pixels of the same smooth map, not shifted."""
    slope = np.repeat(np.linspace(40, 200, 24).round().astype(np.uint8)[None, :, None], 3, axis=2).repeat(16, axis=0)
    fine, coarse = (dataclasses.replace(METHOD, stride=stride).predict(Bright(), [slope], NOTHING, device="cpu")[0] for stride in (1, 4))
    assert coarse.maps.shape == (2, 4, 6)
    inner = np.s_[:, 4:-4, 4:-4]
    assert np.allclose(coarse.resize((16, 24)).maps[inner], fine.maps[inner], atol=5e-3)


def test_a_mirror_image_has_mirrored_probabilities() -> None:
    whole = dataclasses.replace(METHOD, stride=1)
    maps = whole.predict(ToySegmenter(3), [IMAGE], NOTHING, device="cpu")[0].maps
    mirrored = whole.predict(ToySegmenter(3), [np.ascontiguousarray(IMAGE[:, ::-1])], NOTHING, device="cpu")[0].maps
    assert np.allclose(mirrored[..., ::-1], maps, atol=1e-5)


def test_one_scale_without_a_mirror_is_the_network_itself() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[1, 2:5] = 255
    maps = dataclasses.replace(METHOD, scales=(1.0,), flip=False, stride=1).predict(Bright(), [image], NOTHING, device="cpu")[0].maps
    assert np.allclose(maps[1], np.where(image[..., 0], 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))), atol=1e-6)


def test_an_image_of_one_colour_is_the_same_at_every_scale() -> None:
    image = np.full((13, 22, 3), 200, np.uint8)
    several = METHOD.predict(Bright(), [image], NOTHING, device="cpu")[0].maps
    one = dataclasses.replace(METHOD, scales=(1.0,)).predict(Bright(), [image], NOTHING, device="cpu")[0].maps
    assert np.allclose(several, one, atol=1e-6)
