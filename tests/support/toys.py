"""Networks so small that what they say is known."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seedbed.networks.contracts import ClassifierNetwork, SegmentationNetwork


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


class ToyClassifier(ClassifierNetwork):
    """Class maps that are blurred mixtures of colours."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.blur = Blur(num_classes)

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        maps_BKyx = self.blur(images_BCYX)
        return maps_BKyx, maps_BKyx.mean(dim=(2, 3))


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


class LeaningClassifier(ClassifierNetwork):
    """Class maps to which it matters on which side things are."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.leaning = Leaning(num_classes)

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        maps_BKyx = self.leaning(images_BCYX)
        return maps_BKyx, maps_BKyx.amax(dim=(2, 3))


class LeaningSegmenter(SegmentationNetwork):
    """Logits to which it matters on which side things are."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.leaning = Leaning(1 + num_classes)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        logits: Tensor = self.leaning(images_BCYX)
        return logits
