"""The plain classifier's network: maps of scores, one for each class, whose means are logits."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from seedbed.algorithms.pooling import Bound, pool_above
from seedbed.networks.backbones import Backbone
from seedbed.networks.contracts import ClassifierNetwork


class CamNetwork(ClassifierNetwork):
    """Backbone, then one 1x1 convolution without bias."""

    def __init__(self, backbone: Backbone, num_classes: int, *, pooled_above: Bound = "none") -> None:
        """pooled_above: share of the highest value of a channel above which values are averaged to logits; none: all are."""
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2d(backbone.num_features, num_classes, kernel_size=1, bias=False)
        nn.init.normal_(self.head.weight, std=0.01)
        self._pooled_above = pooled_above

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        return self.score(self.backbone(images_BCYX))

    def score(self, features_BDyx: Tensor) -> tuple[Tensor, Tensor]:
        """Score maps (B, K, y, x) and logits (B, K) of features."""
        maps_BKyx = self.head(features_BDyx)
        if self._pooled_above == "none":
            return maps_BKyx, maps_BKyx.mean(dim=(2, 3))
        pooled_BD = pool_above(features_BDyx.float(), share=self._pooled_above)
        return maps_BKyx, functional.linear(pooled_BD, self.head.weight.flatten(1))
