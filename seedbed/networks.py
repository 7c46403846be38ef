"""Networks: timm backbones behind one door, and the two kinds of network that stages hand to each other.

Shapes: B images, C image channels, K classes without background, D features, Y X pixels, y x cells of a coarser grid.
Images enter as RGB in [0, 1]; the backbone standardises them itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seedbed import torchvision_repair
from seedbed.errors import ParamsError, WeightsError, nearest
from seedbed.weights import InitialWeights, fitted, load_file

torchvision_repair.apply()
import timm  # noqa: E402 (only after the repair)


class ClassifierNetwork(nn.Module, ABC):
    """Scores of classes over the image, and one score per class for the whole."""

    @abstractmethod
    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        """Score maps (B, K, y, x), whose positive part is the class map, and logits (B, K); class c is at index c - 1."""


class SegmentationNetwork(nn.Module, ABC):
    """Logits of background and all classes over the image."""

    @abstractmethod
    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Logits (B, 1 + K, y, x); background is at index 0."""


class Backbone(nn.Module):
    """A timm network without its head: a map of features."""

    num_features: int
    mean: Tensor
    deviation: Tensor

    def __init__(self, name: str, *, output_stride: int) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise ParamsError(
                "params.yaml: backbone",
                found=repr(name),
                expected=f"a network of timm {timm.__version__}{nearest(name, timm.list_models())}",
                do="see timm.list_models()",
            )
        try:
            self.trunk = timm.create_model(name, num_classes=0, global_pool="", output_stride=output_stride)
        except (AssertionError, NotImplementedError, TypeError) as error:  # each is how some networks of timm say it
            raise ParamsError(
                "params.yaml: backbone",
                found=f"{name!r}, which does not take the output stride {output_stride}",
                expected="a convolutional network of timm that takes it",
                do="choose another, such as a resnet, or another output_stride",
            ) from error
        self.num_features = int(getattr(self.trunk, "num_features"))  # noqa: B009 (nn.Module hides its type)
        configuration: dict[str, Any] = getattr(self.trunk, "pretrained_cfg")  # noqa: B009
        self.register_buffer("mean", torch.tensor(configuration["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(configuration["std"]).view(1, 3, 1, 1), persistent=False)

    def initialise(self, weights: InitialWeights) -> None:
        """Give the backbone the weights that training starts from."""
        initialise(self.trunk, weights)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Features (B, D, y, x)."""
        features: Tensor = self.trunk((images_BCYX - self.mean) / self.deviation)
        return features


def initialise(trunk: Any, weights: InitialWeights) -> None:
    """Give a network of timm its initial weights."""
    if weights.source == "hub":
        where = "params.yaml: initial_weights.source"
        try:
            # Whole or not at all: left to itself, timm takes what fits where it has to leave a head out.
            timm.models.load_pretrained(trunk, num_classes=0, filter_fn=partial(_published, where=where))
        except (OSError, ValueError, RuntimeError) as error:  # the last: timm has none
            raise WeightsError(
                where,
                found=f"hub, from which weights for this network could not be had ({type(error).__name__})",
                expected="a network that timm has weights for, and a connection or a filled cache",
                do="see timm.list_pretrained(), or use source: file",
            ) from error
    elif weights.source == "file":
        load_file(trunk, weights)


def _published(given: dict[str, Tensor], trunk: Any, *, where: str) -> dict[str, Tensor]:
    """A whole state of what timm has downloaded."""
    heads = trunk.pretrained_cfg.get("classifier") or ()
    names = tuple(f"{head}." for head in ((heads,) if isinstance(heads, str) else heads))
    return fitted(trunk, {name: value for name, value in given.items() if not name.startswith(names)}, where=f"{where}: hub")
