"""Inference in a dense CRF as tensors on any device: the same energy and the same rounds as pydensecrf, many labels at once.

Paper: Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from seedbed.algorithms.permutohedral import Lattice
from seedbed.types import Image


def infer(
    image: Image,
    energy: npt.NDArray[np.float32],
    shares: npt.NDArray[np.float32],
    *,
    smooth_distance: float,
    smooth_weight: float,
    colour_distance: float,
    colour_difference: float,
    colour_weight: float,
    iterations: int,
    device: str,
) -> npt.NDArray[np.float32] | None:
    """Probabilities (label, y, x) after some rounds; None where the distances are too small for this way.

    energy: of each label at each pixel (label, y, x).
    shares: of each label's probability, how much attracts it (label,).
    """
    count, height, width = energy.shape
    rows, columns = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    places = torch.stack([columns, rows], dim=-1).reshape(-1, 2).float()
    colours = torch.from_numpy(np.ascontiguousarray(image)).to(device).reshape(-1, 3).float()
    smooth = Lattice.build(places / smooth_distance)
    colour = Lattice.build(torch.cat([places / colour_distance, colours / colour_difference], dim=1))
    if smooth is None or colour is None:
        return None
    given = -torch.from_numpy(np.ascontiguousarray(energy.reshape(count, -1).T)).to(device)  # (pixel, label)
    attracting = torch.from_numpy(shares).to(device)
    beliefs = given.softmax(dim=1)
    for _ in range(iterations):
        messages = smooth_weight * smooth.filter(beliefs) + colour_weight * colour.filter(beliefs)
        beliefs = (given + attracting * messages).softmax(dim=1)
    return np.ascontiguousarray(beliefs.T.cpu().numpy()).reshape(count, height, width)
