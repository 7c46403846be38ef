"""Networks and learners so small that what they say, and what a training leaves of them, is known."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seedbed.learning.augmentation import Augmentation, Colours, Sample
from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import Learner, Trained
from seedbed.learning.loop import fit
from seedbed.learning.optimisers import Descent, Scheduled
from seedbed.learning.training import Sampling, Training
from seedbed.networks.contracts import AttentiveNetwork, BoundaryNetwork, ClassifierNetwork, PairNetwork, SegmentationNetwork
from seedbed.run.machine import Machine


class Blur(nn.Module):
    """Three channels mixed into some, then blurred; the same on a mirror image."""

    mixing: Tensor

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("mixing", torch.randn(num_channels, 3, 1, 1, generator=generator))

    def forward(self, images_BCYX: Tensor) -> Tensor:
        mixed = functional.conv2d(images_BCYX - 0.5, self.mixing)
        return functional.avg_pool2d(mixed, kernel_size=3, stride=1, padding=1)


class Plainest(ClassifierNetwork):
    """Class maps that are blurred mixtures of colours."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.blur = Blur(num_classes)

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        maps_BKyx = self.blur(images_BCYX)
        return maps_BKyx, maps_BKyx.mean(dim=(2, 3))


class ToyClassifier(Plainest, AttentiveNetwork):
    """The same, with something that stands for attention."""

    def attend(self, images_BCYX: Tensor, *, class_layers: int, patch_layers: int) -> tuple[Tensor, Tensor]:
        return attend(*self(images_BCYX), class_layers=class_layers, patch_layers=patch_layers)


class Nearby(nn.Module):
    """Answers clicks by how near they are, by red, and by the last answer; left and right differ."""

    def forward(self, images_BCYX: Tensor, answers_B1YX: Tensor, clicks_B2N2: Tensor) -> Tensor:
        rows, columns = torch.meshgrid(*(torch.arange(length) for length in images_BCYX.shape[-2:]), indexing="ij")
        logits_B1YX = 2 * images_BCYX[:, :1] + answers_B1YX - 3 + columns / 60
        for kind, sign in ((0, 1), (1, -1)):
            for click_B2 in clicks_B2N2[:, kind].unbind(dim=1):
                squared_BYX = (rows - click_B2[:, 0, None, None]) ** 2 + (columns - click_B2[:, 1, None, None]) ** 2
                there_B = click_B2[:, 0] >= 0
                logits_B1YX = logits_B1YX + sign * 5 * ((-squared_BYX / 40).exp() * there_B[:, None, None])[:, None]
        return logits_B1YX


def attend(maps_BKyx: Tensor, logits_BK: Tensor, *, class_layers: int, patch_layers: int) -> tuple[Tensor, Tensor]:
    """Maps that are other ones with other numbers of layers."""
    powers_BKyx = maps_BKyx.relu() ** (1 + class_layers)
    lifted_BKyx = powers_BKyx + patch_layers * powers_BKyx.mean(dim=(2, 3), keepdim=True)
    return lifted_BKyx / lifted_BKyx.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6), logits_BK


class ToySegmenter(SegmentationNetwork):
    """Logits that are blurred mixtures of colours."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.blur = Blur(1 + num_classes)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        logits: Tensor = self.blur(images_BCYX)
        return logits


class Leaning(nn.Module):
    """Three channels mixed into some by what stands left of and above each pixel: not the same on a mirror image, nor at another size."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.register_buffer("kernel", torch.randn(num_channels, 3, 3, 3, generator=generator))

    kernel: Tensor

    def forward(self, images_BCYX: Tensor) -> Tensor:
        padded = functional.pad(images_BCYX - 0.5, (2, 0, 2, 0), mode="replicate")
        return functional.conv2d(padded, self.kernel)


class LeaningClassifier(AttentiveNetwork):
    """Class maps to which it matters on which side things are."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.leaning = Leaning(num_classes)

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        maps_BKyx = self.leaning(images_BCYX)
        return maps_BKyx, maps_BKyx.amax(dim=(2, 3))

    def attend(self, images_BCYX: Tensor, *, class_layers: int, patch_layers: int) -> tuple[Tensor, Tensor]:
        return attend(*self(images_BCYX), class_layers=class_layers, patch_layers=patch_layers)


class LeaningSegmenter(SegmentationNetwork):
    """Logits to which it matters on which side things are."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.leaning = Leaning(1 + num_classes)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        logits: Tensor = self.leaning(images_BCYX)
        return logits


class LeaningPairs(PairNetwork):
    """Features of cells to which it matters on which side things are."""

    stride = 4
    radius = 3

    def __init__(self) -> None:
        super().__init__()
        self.leaning = Leaning(5)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        return functional.avg_pool2d(self.leaning(images_BCYX), self.stride, ceil_mode=True)


class LeaningBoundaries(BoundaryNetwork):
    """Boundaries and displacement to which it matters on which side things are."""

    stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.leaning = Leaning(3)

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        cells = functional.avg_pool2d(self.leaning(images_BCYX), self.stride, ceil_mode=True)
        return cells[:, 0], cells[:, 1:]


LEANING_AFFINITIES: dict[str, Callable[[], nn.Module]] = {
    "psa": LeaningPairs,
    "irn": LeaningBoundaries,
}  # by the method that would learn them


# --- Networks that learn something of an image's mean colour ---

N = TypeVar("N", bound=nn.Module)
PLAIN: dict[str, Any] = {"micro_batches": 1, "precision": "32-true", "clip": 0.0, "clip_each": False, "averaging": 0.0}
DESCENT = Descent(
    learning_rate=0.1, new_layer_factor=10.0, momentum=0.9, weight_decay=0.0, warmup=0.2, power=0.9, decay_starts="after_warmup"
)
COLOURS = Colours(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.0)
AUGMENTATION = Augmentation(
    crop=16,
    longer_side=0,
    smallest_scale=0.8,
    largest_scale=1.2,
    scale_steps=0,
    interpolation="bilinear",
    padding=(),
    flip=0.5,
    colours=COLOURS,
)
MACHINE = Machine("cpu")


class Mixture(nn.Module):
    """Some mixtures of the three channels."""

    def __init__(self, num_mixtures: int) -> None:
        super().__init__()
        self.mix = nn.Linear(3, num_mixtures)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        mixed: Tensor = self.mix(images_BCYX.mean(dim=(2, 3)))
        return mixed


class Line(nn.Module):
    """One number per channel of an image's mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(3, 2)
        self.head = nn.Linear(2, 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        out: Tensor = self.head(self.drop(self.backbone(images_BCYX.mean(dim=(2, 3)))))
        return out


class LineLearner(Learner[Line, Batch]):
    """Learns whether the image contains class 1, and remembers what it was given."""

    def __init__(self, *, descent: Descent = DESCENT) -> None:
        super().__init__()
        self.network = Line()
        self.teacher = nn.Linear(3, 1)
        self.descent = descent
        self.seen: list[tuple[Batch, float]] = []
        self.made: list[Scheduled] = []
        self.rates: list[list[float]] = []

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.seen.append((batch, progress))
        self.rates.append([group["lr"] for group in self.made[0].optimizer.param_groups])
        loss = nn.functional.binary_cross_entropy_with_logits(self.network(batch.images_BCYX)[:, 0], batch.labels_BK[:, 1])
        return {"one": 0.25 * loss, "other": 0.75 * loss}

    def optimizers(self) -> list[Scheduled]:
        self.made = [self.descent.schedule(self.network.backbone, self.network.head)]
        return self.made


class Plain(nn.Module):
    """No chance and no statistics of a batch: it matters to none of its images what others stand beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(3, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        out: Tensor = self.head(self.backbone(images_BCYX.mean(dim=(2, 3))).tanh())
        return out


class PlainLearner(Learner[Plain, Batch]):
    """A mean over images, so that micro-batches weigh the same."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Plain()
        self.largest = 0.0

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.logits = self.network(batch.images_BCYX)[:, 0]
        return {"labels": nn.functional.binary_cross_entropy_with_logits(self.logits, batch.labels_BK[:, 1])}

    def optimizers(self) -> list[Scheduled]:
        return [DESCENT.schedule(self.network.backbone, self.network.head)]

    def measure_batch(self) -> dict[str, Tensor]:
        return {"mean_logit": self.logits.mean()}


def pictures(count: int) -> list[Sample]:
    """Images of different sizes; the first class is present in every other one; each has its number in a map."""
    random = np.random.default_rng(0)
    return [
        Sample(
            image=random.integers(0, 256, (20 + number, 31 - number, 3), dtype=np.uint8),
            labels=np.array([True, number % 2 == 0]),
            maps={"number": np.full((20 + number, 31 - number), number, np.int32)},
            padding={"number": -1},
        )
        for number in range(count)
    ]


def train(
    learner: Learner[N, Batch] | type[Learner[N, Batch]],
    images: Sequence[Sample],
    training: Training,
    *,
    view: Callable[[Sample, np.random.Generator], Sample] = AUGMENTATION.view,
    machine: Machine = MACHINE,
    checkpoints: Checkpoints | None = None,
) -> Trained[N]:
    """What a training leaves.

    learner: a class is built as methods build theirs, when the training has set its seed, and in each of several processes.
    """
    checkpoints = checkpoints or Checkpoints(Path(os.devnull) / "there is none", seconds=math.inf)  # nor can there be one
    build = learner if isinstance(learner, type) else lambda: learner
    return fit(build, images, Sampling(training, view, Batch.of), machine=machine, name="test", checkpoints=checkpoints)


def alike(one: Trained[N], other: Trained[N], *, tolerance: float = 1e-5) -> bool:
    """Whether two trainings left the same, but for last digits."""
    states = one.network.state_dict(), other.network.state_dict()
    return np.allclose(one.losses, other.losses, atol=tolerance) and all(
        torch.allclose(value, states[1][name], atol=tolerance) for name, value in states[0].items()
    )
