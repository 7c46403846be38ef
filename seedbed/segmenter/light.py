"""A small network over features that are computed already: it is trained in minutes, and the network behind the features never runs.

It labels patches; their logits are brought to a grid of cells, where the labels are. These are masks, or seeds that grow into whole
superpixels in every step, as those of `region_growing` do. With thresholds of 1 nothing grows, nor are superpixels read.

Paper: none; growing and the balanced loss are those of the Seoul National University dissertation of 2022, chapter 3.

Differs from the paper: there a whole network learns, from images. Where an image has several kinds of features (`segmenter.views`), each
is a sample of its own, so `epochs` and `batch_size` count images once for each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from seedbed import segmenter
from seedbed.algorithms.label_growing import balanced_loss, grow
from seedbed.learning.batches import PatchBatch, PatchView
from seedbed.learning.footprint import FLOAT
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import HeadDescent, Scheduled
from seedbed.learning.samples import Described
from seedbed.learning.training import Sampling, Training
from seedbed.methods import method
from seedbed.networks.contracts import Inherited
from seedbed.networks.patch_head import Head, PatchHead
from seedbed.types import IGNORE, PARTS, cells

Probability = Annotated[float, Field(ge=0, le=1)]


@method
class Light(segmenter.Method[Described]):
    needs_features: ClassVar[bool] = True
    saves_memory: ClassVar[str] = "raise the micro_batches of its training, lower its batch_size, or raise its stride"
    maps: ClassVar[tuple[str, ...]] = ("labels", "regions", "confidence")

    head: Head
    stride: Annotated[int, Field(ge=1, le=256)]  # inferred; pixels per cell of the grid on which it learns
    least_confidence: Probability  # labels of lower confidence are ignored; 0: none are, nor is confidence read
    foreground: Probability  # paper: beta; a superpixel takes a class whose mean probability is above this
    background: Probability  # the same for background
    present_only: bool  # whether superpixels may only take classes that the image contains
    balanced: bool  # whether background and everything else weigh the same in each image, not every cell
    training: Training
    descent: HeadDescent

    @property
    def grows(self) -> bool:
        """Whether labels grow into superpixels."""
        return min(self.foreground, self.background) < 1

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        wanted = {"labels": True, "regions": self.grows, "confidence": self.least_confidence > 0}
        return tuple(name for name in self.maps if wanted[name])

    @property
    def unread(self) -> tuple[str, ...]:
        return ("start", "classifier")

    def memory(self, extents: Mapping[str, int]) -> int:
        patches, grid = extents["patch_y"] * extents["patch_x"], cells((extents["y"], extents["x"]), self.stride)
        numbers = patches * (3 * extents["channel"] + 2 * sum(self.head.widths)) + 4 * extents["class"] * grid[0] * grid[1]
        return FLOAT * numbers * self.training.batch_size // self.training.micro_batches

    @property
    def sampling(self) -> Sampling[Described, Any, Any]:
        return Sampling(self.training, partial(_view, stride=self.stride), PatchBatch)

    def network(self, num_classes: int, num_channels: int) -> PatchHead:
        """What is kept of the training, and what `predictions` runs."""
        return self.head.build(num_channels, num_classes)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[PatchHead, PatchBatch]:
        channels = given.states["features"]
        network = self.network(num_classes, len(channels["mean"]))
        network.standardise(channels)
        return LightLearner(network, self)


def _view(sample: Described, _: np.random.Generator, *, stride: int) -> PatchView:
    """The one view that there is of a sample."""
    return PatchView.of(sample, stride)


class LightLearner(Learner[PatchHead, PatchBatch]):
    """The loss of labels, which may have grown, over the cells of every image."""

    network: PatchHead

    def __init__(self, network: PatchHead, method: Light) -> None:
        super().__init__()
        self.network = network
        self.method = method
        self._figures: dict[str, Tensor] = {}

    def forward(self, batch: PatchBatch, progress: float) -> dict[str, Tensor]:
        losses, counts, seeded, labelled = [], [], [], []
        for view in batch.views:
            logs_1KYX, labels_1YX = self.answer(view), self._labels(view)
            seeded.append((labels_1YX != IGNORE).float().mean())
            if self.method.grows:
                labels_1YX = self._grow(view, labels_1YX, logs_1KYX.detach().exp())
            known_1YX = labels_1YX != IGNORE
            labelled.append(known_1YX.float().mean())
            counts.append(known_1YX.sum())
            losses.append(
                balanced_loss(logs_1KYX, labels_1YX)
                if self.method.balanced
                else functional.nll_loss(logs_1KYX, labels_1YX, ignore_index=IGNORE, reduction="sum")
            )
        self._figures = {"seeded": torch.stack(seeded).mean(), "labelled": torch.stack(labelled).mean()}
        weight = len(losses) if self.method.balanced else torch.stack(counts).sum().clamp(min=1)
        return {"labels": torch.stack(losses).sum() / weight}

    def answer(self, view: PatchView) -> Tensor:
        """Logarithms of probabilities (1, 1 + K, Y, X) of cells."""
        device = self.network.mean.device
        vectors_Dyx, rows_Yy, columns_Xx = (torch.from_numpy(one).to(device) for one in (view.vectors, view.rows, view.columns))
        logits_1Kyx: Tensor = self.network(vectors_Dyx[None])
        with torch.autocast(device.type, enabled=False):
            return (rows_Yy @ logits_1Kyx.float() @ columns_Xx.T).log_softmax(dim=1)

    def _labels(self, view: PatchView) -> Tensor:
        """Labels that may be learned from."""
        labels_1YX = view.maps_1YX["labels"]
        if not self.method.least_confidence:
            return labels_1YX
        return labels_1YX.where(view.maps_1YX["confidence"] >= PARTS * self.method.least_confidence, IGNORE)

    def _grow(self, view: PatchView, labels_1YX: Tensor, answers_1KYX: Tensor) -> Tensor:
        return grow(
            labels_1YX,
            view.maps_1YX["regions"],
            answers_1KYX,
            present_BK=(view.labels_1K > 0) | (not self.method.present_only),
            foreground=self.method.foreground,
            background=self.method.background,
        )

    def optimizers(self) -> list[Scheduled]:
        return [self.method.descent.schedule(self.network)]

    def measure_batch(self) -> dict[str, Tensor]:
        return self._figures
