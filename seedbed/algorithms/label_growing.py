"""Labels that grow from a few sure pixels into whole superpixels, and the loss of what is labelled so.

Shapes: B images, K classes with background, R superpixels of all images, Y X pixels or cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seedbed.algorithms.group_means import average_groups
from seedbed.types import BACKGROUND, IGNORE


def grow(
    seeds_BYX: Tensor, regions_BYX: Tensor, answers_BKYX: Tensor, *, present_BK: Tensor, foreground: float, background: float
) -> Tensor:
    """Seeds, and beside them the labels of superpixels that the network is sure of.

    seeds_BYX: 255 where nothing is known; what is known stays.
    regions_BYX: superpixels, -1 where there is no image.
    answers_BKYX: probabilities; background at index 0.
    present_BK: classes that may grow.
    """
    batch, classes = answers_BKYX.shape[:2]
    free_BYX = (seeds_BYX == IGNORE) & (regions_BYX >= 0)
    count = int(regions_BYX.max()) + 1
    if count < 1:
        return seeds_BYX
    places_BYX = regions_BYX.clamp(min=0) + count * torch.arange(batch, device=regions_BYX.device)[:, None, None]
    free = free_BYX.flatten()
    places = places_BYX.flatten()[free]
    means_RK = average_groups(answers_BKYX.movedim(1, -1).reshape(-1, classes)[free], places, batch * count)
    means_RK = means_RK.masked_fill(~present_BK.repeat_interleave(count, dim=0), -1.0)
    highest_R, best_R = means_RK.max(dim=1)
    thresholds_R = torch.where(best_R == BACKGROUND, background, foreground)
    labels_R = torch.where(highest_R > thresholds_R, best_R, IGNORE)
    return torch.where(free_BYX, labels_R[places_BYX], seeds_BYX)


def balanced_loss(logs_BKYX: Tensor, labels_BYX: Tensor) -> Tensor:
    """Mean over images of the cross-entropy of background pixels and that of all others, each a mean over its pixels.

    logs_BKYX: logarithms of probabilities.
    """
    known_BYX = labels_BYX != IGNORE
    losses_BYX = -logs_BKYX.gather(1, torch.where(known_BYX, labels_BYX, 0)[:, None])[:, 0]
    total = losses_BYX.new_zeros(len(labels_BYX))
    for group_BYX in (labels_BYX == BACKGROUND, known_BYX & (labels_BYX != BACKGROUND)):
        total = total + (losses_BYX * group_BYX).sum(dim=(1, 2)) / group_BYX.sum(dim=(1, 2)).clamp(min=1)
    return total.mean()
