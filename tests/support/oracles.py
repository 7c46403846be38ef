"""What methods are held against: the same, written down once more as plainly as it can be said."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pydensecrf.densecrf
import torch
from torch import nn
from torch.nn import functional

from seedbed.algorithms.cell_pairs import list_offsets
from seedbed.networks.deeplab import DeepLab
from seedbed.types import CellEdges, Image, Size, cells

Floats = npt.NDArray[np.floating[Any]]


def cell_edges(size: Size, stride: int, radius: int = 5) -> CellEdges:
    """Random boundaries, ways to the middle and distances of pairs of cells.

    size: of the image.
    """
    random, grid = np.random.default_rng(5), cells(size, stride)
    boundaries, displacement = random.random(grid, np.float32), random.standard_normal((2, *grid), np.float32)
    return CellEdges(boundaries, displacement, random.random((len(list_offsets(radius)), *grid), np.float32), stride)


def photograph(size: Size = (40, 56), *, seed: int = 0) -> Image:
    """Coarse patches of colour with noise on them, so that there are borders and doubts."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 216, (*cells(size, 8), 3)).repeat(8, axis=0).repeat(8, axis=1)[: size[0], : size[1]]
    return np.asarray(np.clip(coarse + random.integers(-25, 26, (*size, 3)), 0, 255), np.uint8)


def dense_crf(
    image: Image, energy: Floats, *, smooth: tuple[float, float], colour: tuple[float, float, float], iterations: int
) -> npt.NDArray[np.float32]:
    """Probabilities (label, y, x) as pydensecrf's own example has them.

    energy: (label, y, x), negative logarithms.
    smooth: distance, weight. colour: distance, difference, weight.
    """
    count, height, width = energy.shape
    field = pydensecrf.densecrf.DenseCRF2D(width, height, count)
    field.setUnaryEnergy(np.ascontiguousarray(energy.reshape(count, height * width), dtype=np.float32))
    field.addPairwiseGaussian(sxy=smooth[0], compat=smooth[1])
    field.addPairwiseBilateral(sxy=colour[0], srgb=colour[1], rgbim=np.ascontiguousarray(image), compat=colour[2])
    return np.array(field.inference(iterations), np.float32).reshape(count, height, width)


def deeplab(network: DeepLab, pixels: npt.NDArray[np.uint8], *, size: Size, rates: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Probabilities (image, class, y, x) at the size of the images, of which the network sees another.

    pixels: (image, y, x, rgb).
    size: what the network sees.
    """
    trunk = network.backbone.trunk
    mean, deviation = (np.array(trunk.pretrained_cfg[name]) for name in ("mean", "std"))
    images = torch.from_numpy(pixels / 255).permute(0, 3, 1, 2).float()
    seen = functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
    standard = (seen - torch.tensor(mean).view(3, 1, 1).float()) / torch.tensor(deviation).view(3, 1, 1).float()
    with torch.no_grad():
        features = trunk.forward_features(standard)
        logits = torch.zeros(1)
        for branch, rate in zip(network.branches, rates, strict=True):
            assert isinstance(branch, nn.Conv2d)
            logits = logits + functional.conv2d(features, branch.weight, branch.bias, padding=rate, dilation=rate)
        large = functional.interpolate(logits, size=pixels.shape[1:3], mode="bilinear", align_corners=False)
    return np.asarray(large.double().softmax(dim=1).numpy())


def made_sure(network: DeepLab, pixels: npt.NDArray[np.uint8]) -> DeepLab:
    """A network whose answers to some images differ from place to place, as those of one that has learned. In place."""
    generator = torch.Generator().manual_seed(5)
    for branch in network.branches:
        assert isinstance(branch, nn.Conv2d)
        nn.init.normal_(branch.weight, std=1.0, generator=generator)
    with torch.no_grad():
        logits = network(torch.from_numpy(pixels / 255).permute(0, 3, 1, 2).float())
        first = network.branches[0]
        assert isinstance(first, nn.Conv2d) and first.bias is not None
        first.bias -= logits.mean(dim=(0, 2, 3))
    return network
