"""Class maps of a linear layer on features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from seedbed.cams.patch_scores import PatchScores
from seedbed.types import Alignment, LinearHead, PatchFeatures
from tests.support.learning import linear_head

RANDOM = np.random.default_rng(3)


def test_scores_are_cut_at_zero_and_divided_by_their_maximum() -> None:
    head = LinearHead(np.array([[1, 0], [0, 1]], np.float32), np.array([0.5, -0.5], np.float32))
    patches = PatchFeatures(np.array([[[1, -1], [3, -2]]], np.float32), 4, Alignment.RESIZED)
    image = np.zeros((4, 8, 3), np.uint8)
    for offset, expected in ((False, [1 / 3, 1]), (True, [1.5 / 3.5, 1])):
        [(maps, scores)] = PatchScores(offset=offset, stride=4).compute(head, [image], [patches], [(1, 2)], device="cpu")
        assert maps.classes == (1, 2)
        assert maps.maps[0, 0] == pytest.approx(expected) and not maps.maps[1].any()
        assert scores == pytest.approx([0, 1 / (1 + np.exp(-2.5)), 1 / (1 + np.exp(2))])


@pytest.mark.parametrize("alignment", list(Alignment))
@pytest.mark.parametrize("offset", [False, True])
def test_the_whole_is_a_pointwise_convolution_resized(alignment: Alignment, offset: bool) -> None:
    head, size = linear_head(), (37, 58)
    patches = PatchFeatures(RANDOM.standard_normal((5, 8, 4)).astype(np.float32), 8, alignment)
    image = np.zeros((*size, 3), np.uint8)
    [(maps, scores)] = PatchScores(offset=offset, stride=3).compute(head, [image], [patches], [(1, 3)], device="cpu")
    vectors = torch.from_numpy(patches.values).permute(2, 0, 1)[None]
    logits = functional.conv2d(vectors, torch.from_numpy(head.weight)[:, :, None, None], torch.from_numpy(head.offset))
    assert scores[1:] == pytest.approx(logits.mean(dim=(0, 2, 3)).sigmoid().numpy(), abs=1e-6)
    shown = logits[:, [0, 2]] - (0 if offset else torch.from_numpy(head.offset[[0, 2]])[None, :, None, None])
    # Cells cover equal parts of the image; padded patches reach beyond it.
    y, x = ((np.arange(count) + 0.5) / count for count in (13, 20))
    if alignment is Alignment.PADDED:
        y, x = y * 37 / 40, x * 58 / 64
    grid = torch.from_numpy(np.stack(np.meshgrid(2 * x - 1, 2 * y - 1), axis=-1).astype(np.float32))[None]
    expected = functional.grid_sample(shown.clamp(min=0), grid, mode="bilinear", padding_mode="border", align_corners=False)[0].numpy()
    assert maps.maps.shape == (2, 13, 20)
    assert maps.maps == pytest.approx(expected / expected.max(axis=(1, 2), keepdims=True), abs=1e-5)


def test_a_map_of_noise_is_not_scaled() -> None:
    head = LinearHead(np.full((1, 1), 1e-7, np.float32), np.zeros(1, np.float32))
    patches = PatchFeatures(np.ones((1, 2, 1), np.float32), 4, Alignment.RESIZED)
    [(maps, _)] = PatchScores(offset=False, stride=4).compute(head, [np.zeros((4, 8, 3), np.uint8)], [patches], [(1,)], device="cpu")
    assert maps.maps.max() == pytest.approx(0.01)
