"""Inference in dense CRFs as tensors on any device: the same energy and the same rounds as pydensecrf, many labels and images at once.

Paper: Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seedbed.algorithms.permutohedral import Lattice
from seedbed.types import Image

Floats = npt.NDArray[np.float32]


def infer(
    images: Sequence[Image],
    energies: Sequence[Floats],
    shares: Sequence[Floats],
    *,
    smooth_distance: float,
    smooth_weight: float,
    colour_distance: float,
    colour_difference: float,
    colour_weight: float,
    iterations: int,
    device: str,
) -> list[Floats] | None:
    """Probabilities (label, y, x) of each image after some rounds; None where the distances are too small for this way.

    Images may differ in size and in their number of labels. They do not influence each other.

    energies: of each label at each pixel (label, y, x), by image.
    shares: of each label's probability, how much attracts it (label,), by image.
    """
    pixels = [image.shape[0] * image.shape[1] for image in images]
    owners = torch.arange(len(images), device=device).repeat_interleave(torch.tensor(pixels, device=device))
    places = torch.cat([_number_pixels(image, device) for image in images])
    colours = torch.from_numpy(np.concatenate([image.reshape(-1, 3) for image in images])).to(device).float()
    smooth = Lattice.build(places / smooth_distance, owners)
    colour = Lattice.build(torch.cat([places / colour_distance, colours / colour_difference], dim=1), owners)
    if smooth is None or colour is None:
        return None
    most = max(len(energy) for energy in energies)
    given = torch.full((len(owners), most), -torch.inf, device=device)  # (pixel, label); labels that an image lacks are impossible
    attracting = torch.ones(len(images), most, device=device)
    for number, (energy, part) in enumerate(zip(energies, given.split(pixels), strict=True)):
        part[:, : len(energy)] = -torch.from_numpy(np.ascontiguousarray(energy.reshape(len(energy), -1).T)).to(device)
        attracting[number, : len(energy)] = torch.from_numpy(shares[number]).to(device)
    attracting = attracting[owners]
    beliefs = given.softmax(dim=1)
    for _ in range(iterations):
        messages = smooth_weight * smooth.filter(beliefs) + colour_weight * colour.filter(beliefs)
        beliefs = (given + attracting * messages).softmax(dim=1)
    found = [part[:, : len(energy)].T.cpu().numpy() for energy, part in zip(energies, beliefs.split(pixels), strict=True)]
    return [np.ascontiguousarray(each).reshape(energy.shape) for energy, each in zip(energies, found, strict=True)]


def _number_pixels(image: Image, device: str) -> Tensor:
    """Column and row of each pixel (pixel, 2)."""
    rows, columns = torch.meshgrid(*(torch.arange(length, device=device) for length in image.shape[:2]), indexing="ij")
    return torch.stack([columns, rows], dim=-1).reshape(-1, 2).float()
