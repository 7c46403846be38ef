"""Classes told from the grounds they stand on, and from each other, by contrast of places.

Of the places where a classifier sees a class but is not sure of it, each shall be like the class's prototype, the mean of the places of
the whole batch that speak most for the class, and unlike others: backgrounds that the training has met, each image's gathered into a few
centroids and kept in a bank, and places of other classes, most of those that are most like the class. Two projections of the features
serve: one for classes, one for backgrounds.

Shapes: B images, K classes with background first, C that are seen, D channels, y x places; S places of all images, Q of them that ask,
F of them of a class, M of others that each is compared with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from seedbed.algorithms.clusters import find_centroids
from seedbed.learning.augmentation import Share
from seedbed.learning.bank import Bank
from seedbed.learning.footprint import FLOAT
from seedbed.methods import parameters

Weight = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


@parameters
class Doubt:
    """Which of the places of a class it is not sure of."""

    floor: Share  # paper: 0.05; scores above it count in the next
    surest: Share  # paper: 0.6, 0.4; share of a class's places in an image below which it is not sure, by score
    clearest: Share  # paper: 0.1, 0.25; share of an image's places, by entropy, that are too clear to ask
    background_clear: bool  # whether entropy counts as 0 where background is seen, as in the first of the two settings, not the second


@parameters
class Contrast:
    """How places are compared."""

    width: Count  # paper: 128; channels of both projections
    background: Weight  # paper: 0.01, 0.05; weight of the contrast with backgrounds; 0: there is none, and no bank
    foreground: Weight  # paper: 0.1; weight of the contrast with other classes; 0: there is none
    apart: Weight  # paper: 0.1; weight of the likeness of the two projections; 0: they may be alike
    temperature: Annotated[float, Field(gt=0, le=1e6)]  # paper: tau, 0.5; of likeness, of places and of prototypes
    negatives: Count  # paper: 256; other places that each is compared with
    tops: Count  # paper: 16, 32; one of so many places of a map is the number of places that make a prototype
    centroids: Count  # paper: 8; backgrounds of an image
    rounds: Annotated[int, Field(ge=0, le=1000)]  # of k-means, which finds them
    capacity: Count  # paper: 50,000, 100,000; backgrounds that are kept
    doubt: Doubt

    @property
    def off(self) -> bool:
        """Whether nothing is compared."""
        return not (self.background or self.foreground or self.apart)


@dataclass(frozen=True)
class Seen:
    """Where a classifier sees what."""

    scores_BKyx: Tensor  # from 0 to 1
    probabilities_BKyx: Tensor  # sums to 1
    labels_Byx: Tensor  # the class that is seen, 0 where it is background


class Projections(nn.Module):
    """Features by what they say of classes, and of backgrounds."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.foreground = nn.Conv2d(channels, width, kernel_size=1, bias=False)
        self.background = nn.Conv2d(channels, width, kernel_size=1, bias=False)
        for layer in (self.foreground, self.background):
            nn.init.xavier_uniform_(layer.weight)


def estimate_compared(contrast: Contrast, places: int, *, banks: int) -> int:
    """Bytes that comparing with backgrounds takes, about, where every place asks.

    places: of all images of a part of a batch.
    """
    return (places * contrast.negatives + banks * contrast.capacity) * contrast.width * FLOAT * bool(contrast.background)


def compare_places(foreground_BDyx: Tensor, grounds_BDyx: Tensor, seen: Seen, contrast: Contrast, bank: Bank | None) -> dict[str, Tensor]:
    """Terms of the loss by name. Backgrounds are added to the bank before it is asked.

    foreground_BDyx: projected features, which learn; grounds_BDyx: the other projection, which does not here.
    bank: of backgrounds, of the length 1, if these are compared.
    """
    if bank is not None:
        met_ND = gather_backgrounds(grounds_BDyx.detach(), seen.labels_Byx, contrast)
        bank.add(functional.normalize(met_ND, dim=1), most=len(grounds_BDyx) * contrast.centroids)
    classes_C = torch.unique(seen.labels_Byx)
    classes_C = classes_C[classes_C > 0]
    terms = {name: foreground_BDyx.new_zeros(()) for name in ("background", "foreground") if getattr(contrast, name)}
    asks_S = find_doubtful(seen, contrast.doubt).flatten()
    if not asks_S.any():
        return terms
    places_SD, labels_S = foreground_BDyx.movedim(1, -1).flatten(0, 2), seen.labels_Byx.flatten()
    prototypes_CD = average_tops(places_SD.detach(), seen.scores_BKyx, classes_C, contrast.tops)
    queries_QD, of_Q = functional.normalize(places_SD[asks_S], dim=1), torch.searchsorted(classes_C, labels_S[asks_S])
    alike_Q1 = (queries_QD * functional.normalize(prototypes_CD, dim=1)[of_Q]).sum(dim=1, keepdim=True)

    def measure(others_QM: Tensor) -> Tensor:
        """Cross-entropy of the prototype among others, by how alike each is."""
        logits_QM = torch.cat([alike_Q1, others_QM], dim=1) / contrast.temperature
        return average_by_class(-logits_QM.log_softmax(dim=1)[:, 0], of_Q, len(classes_C))

    if bank is not None and len(bank):
        negatives_QMD = bank.draw(len(queries_QD), contrast.negatives)
        terms["background"] = contrast.background * measure(torch.einsum("qd,qmd->qm", queries_QD, negatives_QMD))
    if contrast.foreground and len(classes_C) > 1:
        graph_CC = relate(prototypes_CD, contrast.temperature)
        of_class = labels_S > 0
        others_FD, classes_F = places_SD[of_class].detach(), torch.searchsorted(classes_C, labels_S[of_class])
        drawn_QM = draw_others(graph_CC[of_Q], classes_F, contrast.negatives)
        alike_QF = queries_QD @ functional.normalize(others_FD, dim=1).T
        terms["foreground"] = contrast.foreground * measure(alike_QF.gather(1, drawn_QM))
    return terms


def gather_backgrounds(features_BDyx: Tensor, labels_Byx: Tensor, contrast: Contrast) -> Tensor:
    """Centroids of where each image shows background (N, D)."""
    found = [
        find_centroids(features_Dyx[:, labels_yx == 0].T, contrast.centroids, rounds=contrast.rounds)
        for features_Dyx, labels_yx in zip(features_BDyx, labels_Byx, strict=True)
    ]
    return torch.cat(found)


def find_doubtful(seen: Seen, doubt: Doubt) -> Tensor:
    """Places (B, y, x) where a class is seen, but its score is not among the highest of its places, and entropy is not too low."""
    own_Byx = seen.scores_BKyx.gather(1, seen.labels_Byx[:, None])[:, 0]
    sure_Byx = torch.zeros_like(own_Byx, dtype=torch.bool)
    for own_yx, labels_yx, sure_yx in zip(own_Byx, seen.labels_Byx, sure_Byx, strict=True):
        for label in torch.unique(labels_yx):
            here_yx = labels_yx == label
            scores_N = own_yx[here_yx & (own_yx > doubt.floor)].sort().values
            if label and len(scores_N):
                sure_yx |= here_yx & (own_yx > scores_N[min(int(len(scores_N) * doubt.surest), len(scores_N) - 1)])
    entropy_Byx = torch.special.entr(seen.probabilities_BKyx).sum(dim=1)
    if doubt.background_clear:
        entropy_Byx = entropy_Byx * (seen.labels_Byx > 0)
    bound_B = torch.quantile(entropy_Byx.flatten(1), doubt.clearest, dim=1)
    unclear_Byx: Tensor = entropy_Byx > bound_B[:, None, None]
    return (seen.labels_Byx > 0) & ~sure_Byx & unclear_Byx


def average_tops(places_SD: Tensor, scores_BKyx: Tensor, classes_C: Tensor, tops: int) -> Tensor:
    """Prototypes (C, D): means of the places of highest scores, weighted by these.

    tops: one of so many places of a map is their number.
    """
    scores_CS = scores_BKyx.transpose(0, 1).flatten(1)[classes_C]
    highest_CN, places_CN = scores_CS.topk(max(1, math.prod(scores_BKyx.shape[2:]) // tops), dim=1)
    return (highest_CN[:, :, None] * places_SD[places_CN]).sum(dim=1) / highest_CN.sum(dim=1, keepdim=True)


def relate(prototypes_CD: Tensor, temperature: float) -> Tensor:
    """How likely each class (row) is compared with each other one (C, C): a softmax of likeness, 0 for itself."""
    alike_CC = functional.cosine_similarity(prototypes_CD[:, None], prototypes_CD[None], dim=2) / temperature
    return alike_CC.fill_diagonal_(-torch.inf).softmax(dim=1)


def draw_others(likely_QC: Tensor, classes_F: Tensor, count: int) -> Tensor:
    """Places (Q, count), each of a class drawn as likely as is said, any place of it.

    classes_F: the class of each place.
    """
    classes_QM = torch.multinomial(likely_QC, count, replacement=True)
    sizes_C = torch.bincount(classes_F, minlength=likely_QC.shape[1])
    starts_C, order_F = sizes_C.cumsum(0) - sizes_C, classes_F.argsort(stable=True)
    within_QM = (torch.rand(classes_QM.shape, device=classes_F.device) * sizes_C[classes_QM]).long()
    return order_F[starts_C[classes_QM] + within_QM]


def average_by_class(values_Q: Tensor, of_Q: Tensor, count: int) -> Tensor:
    """Mean over classes of the mean of their values; a class without any has 0.

    of_Q: the class of each.
    """
    sums_C = values_Q.new_zeros(count).index_add(0, of_Q, values_Q)
    return (sums_C / torch.bincount(of_Q, minlength=count).clamp(min=1)).mean()
