"""What a frozen network perceives of images, by which two images are compared.

Paper: Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from seedbed.errors import ParamsError
from seedbed.methods import parameters
from seedbed.networks.backbones import Backbone, check_source, initialise
from seedbed.networks.repaired import timm
from seedbed.networks.weights import InitialWeights


@parameters
class Perception:
    """A network, and how large images are that it is shown."""

    network: str  # paper: vgg19; any convolutional network of timm
    initial_weights: InitialWeights
    widest: Annotated[int, Field(ge=16, le=100_000)]  # paper: 1024; images that are wider, in pixels, are halved until they are not

    def check(self, owner: str, *, levels: int) -> None:
        """Refuse a network that does not exist, has not so many levels, or cannot get its weights.

        owner: method to which it belongs.
        """
        with torch.device("meta"):
            network = self.build()
        check_source(network.backbone.trunk, self.initial_weights, owner)
        if levels != network.levels:
            raise ParamsError(
                f"params.yaml: {owner}",
                found=f"weights of {levels} levels",
                expected=f"{network.levels}, one for each level of {self.network}",
                do="correct them",
            )

    def build(self) -> PerceivingNetwork:
        """The network with random weights."""
        return PerceivingNetwork(Backbone(self.network, output_stride=32), widest=self.widest)

    def initialise(self) -> PerceivingNetwork:
        """The network with its weights."""
        network = self.build()
        initialise(network.backbone.trunk, self.initial_weights)
        return network


class PerceivingNetwork(nn.Module):
    """A network of timm that gives what it sees at every level: a VGG its first activation of each size of maps, others their stages."""

    def __init__(self, backbone: Backbone, *, widest: int) -> None:
        super().__init__()
        self.backbone, self._widest = backbone, widest
        self._first = _list_first_activations(backbone.trunk)

    @property
    def levels(self) -> int:
        """How many there are."""
        return len(self._first) or len(self.backbone.trunk.feature_info)

    def standardise(self, images_BCYX: Tensor) -> Tensor:
        """Images in [0, 1] as the network was trained on them."""
        return (images_BCYX - self.backbone.mean) / self.backbone.deviation

    def forward(self, images_BCYX: Tensor) -> list[Tensor]:
        """Features (B, D, y, x) of all levels, the finest first. Images are taken as they are, and not standardised."""
        while images_BCYX.shape[-1] > self._widest:
            images_BCYX = functional.avg_pool2d(images_BCYX, 2)
        trunk = self.backbone.trunk
        if not self._first:
            maps: list[Tensor] = trunk.forward_intermediates(images_BCYX, output_fmt="NCHW", intermediates_only=True)
            return maps
        features_BDyx, found = images_BCYX, []
        for place, layer in enumerate(trunk.features[: self._first[-1] + 1]):
            features_BDyx = layer(features_BDyx)
            if place in self._first:
                found.append(features_BDyx)
        return found


def _list_first_activations(trunk: Any) -> list[int]:
    """Where a VGG's first activation of each size of maps lies among its layers; nothing for another network."""
    places: list[int] = []
    if not isinstance(trunk, timm.models.VGG):
        return places
    resized = True
    for place, layer in enumerate(trunk.features):
        if isinstance(layer, nn.ReLU):
            places += [place] if resized else []
            resized = False
        elif not isinstance(layer, nn.Conv2d | nn.BatchNorm2d):  # a pool, maybe with padding before it
            resized = True
    return places
