"""Class maps over scales and mirror images."""

from __future__ import annotations

import dataclasses
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Photo
from torch import Tensor
from torch.nn import functional

from seedbed.cams.multiscale import Multiscale
from seedbed.networks.contracts import ClassifierNetwork
from seedbed.types import Image
from tests.support.toys import LeaningClassifier, ToyClassifier

METHOD = Multiscale(scales=(1.0, 0.5, 1.5), interpolation="bilinear", flip=True, over_scales="sum", stride=1)


def random_image() -> Image:
    return np.random.default_rng(0).integers(0, 256, (13, 22, 3), dtype=np.uint8)


class Red(ClassifierNetwork):
    """Class 1 is where the image is red, class 2 is nowhere; the classifier believes in class 1 alone."""

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        red_BYX = images_BCYX[:, 0] - 0.25
        return torch.stack([red_BYX, -torch.ones_like(red_BYX)], dim=1), torch.tensor([[2.0, -2.0]]).repeat(len(images_BCYX), 1)


def test_a_mirror_image_has_mirrored_maps() -> None:
    image = random_image()
    maps, scores = METHOD.compute(ToyClassifier(3), [image], [()], [(1, 2, 3)], device="cpu")[0]
    mirrored, mirrored_scores = METHOD.compute(ToyClassifier(3), [np.ascontiguousarray(image[:, ::-1])], [()], [(1, 2, 3)], device="cpu")[0]
    assert np.allclose(mirrored.maps[..., ::-1], maps.maps, atol=1e-5)
    assert np.allclose(mirrored_scores, scores, atol=1e-6)


def test_without_mirror_images_maps_still_lie_where_they_belong() -> None:
    image = random_image()
    with_flip, _ = METHOD.compute(ToyClassifier(3), [image], [()], [(1, 2, 3)], device="cpu")[0]
    without, _ = dataclasses.replace(METHOD, flip=False).compute(ToyClassifier(3), [image], [()], [(1, 2, 3)], device="cpu")[0]
    assert np.allclose(with_flip.maps, without.maps, atol=1e-5)  # the toy sees the same in a mirror


@pytest.mark.parametrize("interpolation", ["bilinear", "antialiased_cubic"])
def test_how_images_are_resized(interpolation: Literal["bilinear", "antialiased_cubic"]) -> None:
    image, network = random_image(), ToyClassifier(3)
    method = dataclasses.replace(METHOD, scales=(1.0, 0.5), flip=False, interpolation=interpolation)
    half = (
        cv2.resize(image, (11, 6))
        if interpolation == "bilinear"
        else np.asarray(Photo.fromarray(image).resize((11, 6), Photo.Resampling.BICUBIC))
    )
    expected = torch.zeros(3, 13, 22)
    for view in (image, half):
        maps, _ = network(torch.from_numpy(view.copy()).permute(2, 0, 1)[None].float() / 255)
        expected += functional.interpolate(maps.clamp(min=0), size=(13, 22), mode="bilinear", align_corners=False)[0]
    found = method.compute(network, [image], [()], [(1, 2, 3)], device="cpu")[0][0].maps
    assert np.allclose(found, (expected / expected.amax(dim=(1, 2), keepdim=True)).numpy(), atol=1e-5)


def test_every_map_reaches_one() -> None:
    maps, _ = METHOD.compute(ToyClassifier(3), [random_image()], [()], [(1, 2, 3)], device="cpu")[0]
    assert maps.maps.max(axis=(1, 2)).tolist() == [1, 1, 1]


def test_maps_are_positive_parts_of_the_network_s() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[1, 2:5, 0] = 255
    maps, scores = dataclasses.replace(METHOD, scales=(1.0,)).compute(Red(), [image], [()], [(1, 2)], device="cpu")[0]
    assert np.allclose(maps.maps[0], image[..., 0] / 255)
    assert not maps.maps[1].any()  # a class that is seen nowhere is not raised to 1
    assert np.allclose(scores, [0, 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))])


@pytest.mark.parametrize("classes", [(), (3,), (1, 3)])
def test_maps_are_those_of_the_classes_that_are_asked_for(classes: tuple[int, ...]) -> None:
    every, _ = METHOD.compute(ToyClassifier(3), [random_image()], [()], [(1, 2, 3)], device="cpu")[0]
    some, _ = METHOD.compute(ToyClassifier(3), [random_image()], [()], [classes], device="cpu")[0]
    assert some.classes == classes
    assert np.array_equal(some.maps, every.maps[[one - 1 for one in classes]])


@pytest.mark.parametrize(("stride", "size"), [(1, (13, 22)), (4, (4, 6)), (5, (3, 5))])
def test_maps_have_a_cell_for_every_stride(stride: int, size: tuple[int, int]) -> None:
    maps, _ = dataclasses.replace(METHOD, stride=stride).compute(ToyClassifier(2), [random_image()], [()], [(1, 2)], device="cpu")[0]
    assert maps.maps.shape == (2, *size)


# --- As a whole ---


@pytest.mark.parametrize("over_scales", ["sum", "largest"])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("interpolation", ["bilinear", "antialiased_cubic"])
def test_the_whole_written_down_view_by_view(
    flip: bool, interpolation: Literal["bilinear", "antialiased_cubic"], over_scales: Literal["sum", "largest"]
) -> None:
    image, network = random_image(), LeaningClassifier(3)
    views, logits = [], []
    for height, width in ((16, 26), (8, 13)):  # of 13 x 22
        if interpolation == "bilinear":
            scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        else:
            scaled = np.asarray(Photo.fromarray(image).resize((width, height), Photo.Resampling.BICUBIC))
        for mirrored in (False, True)[: 1 + flip]:
            view = scaled[:, ::-1] if mirrored else scaled
            maps, scores = network(torch.from_numpy(view / 255).float().permute(2, 0, 1)[None])
            logits.append(scores[0].numpy())
            cells = functional.interpolate(maps.clamp(min=0), size=(5, 8), mode="bilinear", align_corners=False)[0].numpy()
            views.append(cells[..., ::-1] if mirrored else cells)
    combined = np.sum(views, axis=0) if over_scales == "sum" else np.max(views, axis=0)
    method = Multiscale(scales=(1.2, 0.6), interpolation=interpolation, flip=flip, over_scales=over_scales, stride=3)
    [(found, scores)] = method.compute(network, [image], [()], [(1, 3)], device="cpu")
    assert found.classes == (1, 3)
    for maps, label in zip(found.maps, found.classes, strict=True):
        assert np.allclose(maps, combined[label - 1] / combined[label - 1].max(), atol=1e-5)
    assert np.allclose(scores, [0, *(1 / (1 + np.exp(-np.mean(logits, axis=0))))], atol=1e-6)


def test_images_of_several_sizes_keep_their_places() -> None:
    images = [random_image(), np.ascontiguousarray(random_image().swapaxes(0, 1)), random_image()[::-1].copy()]
    classes = [(1,), (2, 3), (3,)]
    found = METHOD.compute(LeaningClassifier(3), images, [()] * len(images), classes, device="cpu")
    for image, which, (maps, scores) in zip(images, classes, found, strict=True):
        [(alone, alone_scores)] = METHOD.compute(LeaningClassifier(3), [image], [()], [which], device="cpu")
        assert maps.classes == which and np.array_equal(maps.maps, alone.maps) and np.array_equal(scores, alone_scores)
