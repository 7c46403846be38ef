"""Probabilities of a segmenter that labels patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from seedbed.networks.patch_head import PatchHead
from seedbed.predictions.patch_probabilities import PatchProbabilities
from seedbed.types import Alignment, PatchFeatures


@pytest.mark.parametrize("alignment", list(Alignment))
def test_the_whole_is_the_network_resized(alignment: Alignment) -> None:
    torch.manual_seed(0)
    network = PatchHead(4, 3, widths=(5,), kernel=3, coordinates=False).eval()
    random, size = np.random.default_rng(3), (37, 58)
    patches = [
        [PatchFeatures(random.standard_normal((5, 8, 4)).astype(np.float32), 8, alignment) for _ in range(views)] for views in (1, 3)
    ]
    found = PatchProbabilities(stride=3).predict(network, [np.zeros((*size, 3), np.uint8)] * 2, patches, device="cpu")
    # Cells cover equal parts of the image; padded patches reach beyond it.
    y, x = ((np.arange(count) + 0.5) / count for count in (13, 20))
    if alignment is Alignment.PADDED:
        y, x = y * 37 / 40, x * 58 / 64
    grid = torch.from_numpy(np.stack(np.meshgrid(2 * x - 1, 2 * y - 1), axis=-1).astype(np.float32))[None]
    for one, made in zip(patches, found, strict=True):
        with torch.inference_mode():
            all_logits = [network(torch.from_numpy(np.moveaxis(view.values, -1, 0))[None]) for view in one]
        resized = [functional.grid_sample(each, grid, mode="bilinear", padding_mode="border", align_corners=False) for each in all_logits]
        expected = torch.stack([each.softmax(dim=1)[0] for each in resized]).mean(dim=0)
        assert made.maps.dtype == np.float32 and made.maps == pytest.approx(expected.numpy(), abs=1e-5)
