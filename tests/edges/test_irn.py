"""Boundaries of an image and of its mirror image, and displacement."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seedbed.edges.irn import Irn
from tests.support.oracles import photograph
from tests.support.toys import LeaningBoundaries


@pytest.mark.parametrize("size", [(24, 40), (22, 29), (9, 5)])
@pytest.mark.parametrize("flip", [True, False])
def test_the_whole_written_down_plainly(flip: bool, size: tuple[int, int]) -> None:
    network, image = LeaningBoundaries().eval(), photograph(size)
    [found] = Irn(flip=flip).find(network, [image], device="cpu")
    logits, displacement = network(torch.from_numpy(image / 255).permute(2, 0, 1)[None].float())
    mirrored, _ = network(torch.from_numpy(image[:, ::-1] / 255).permute(2, 0, 1)[None].float())
    mean = (logits[0].double().numpy() + mirrored[0].double().numpy()[:, ::-1]) / 2 if flip else logits[0].double().numpy()
    grid = -(-size[0] // 4), -(-size[1] // 4)
    assert found.boundaries.shape == grid and np.allclose(found.boundaries, 1 / (1 + np.exp(-mean)), atol=1e-6)
    assert found.displacement.shape == (2, *grid) and np.allclose(found.displacement, displacement[0], atol=1e-6)
    assert found.distances.shape == (0, *grid) and found.stride == 4
    assert {one.dtype for one in (found.boundaries, found.displacement, found.distances)} == {np.dtype(np.float32)}


def test_a_mirror_image_has_mirrored_boundaries_if_both_are_looked_at() -> None:
    network, image = LeaningBoundaries().eval(), photograph((24, 40))
    for flip in (True, False):
        one, other = Irn(flip=flip).find(network, [image, image[:, ::-1].copy()], device="cpu")
        assert np.allclose(one.boundaries[:, ::-1], other.boundaries, atol=1e-6) == flip
        assert not np.allclose(one.displacement[..., ::-1], other.displacement, atol=1e-3)


def test_images_of_several_sizes_keep_their_places() -> None:
    network, images = LeaningBoundaries().eval(), [photograph((24, 40)), photograph((9, 5)), photograph((24, 40), seed=1)]
    for image, found in zip(images, Irn(flip=True).find(network, images, device="cpu"), strict=True):
        [alone] = Irn(flip=True).find(network, [image], device="cpu")
        assert np.array_equal(found.boundaries, alone.boundaries) and np.array_equal(found.displacement, alone.displacement)


def test_it_reads_the_network() -> None:
    assert Irn(flip=True).unread == () and not Irn(flip=True).makes_nothing
