"""The plain classifier's network: maps of scores, one for each class, whose means are logits."""

from __future__ import annotations

from torch import Tensor, nn

from seedbed.networks.backbones import Backbone
from seedbed.networks.contracts import ClassifierNetwork


class CamNetwork(ClassifierNetwork):
    """Backbone, then one 1x1 convolution without bias."""

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2d(backbone.num_features, num_classes, kernel_size=1, bias=False)
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        maps_BKyx = self.head(self.backbone(images_BCYX))
        return maps_BKyx, maps_BKyx.mean(dim=(2, 3))
