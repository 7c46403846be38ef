"""The plain classifier: a linear layer on every place of the feature map, averaged over the image.

Paper: Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016; the arrangement follows Ahn et al., "Weakly
Supervised Learning of Instance Segmentation with Inter-pixel Relations", CVPR 2019.

Differs from the paper: backbone, its weights and every training constant are parameters. In the second paper's code, weight decay is passed
in the place of momentum by mistake, so that it has next to none; here each is what it is called.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from seedbed import classifier
from seedbed.algorithms.pooling import Bound
from seedbed.learning.augmentation import Augmentation
from seedbed.learning.batches import Batch
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Descent, Scheduled
from seedbed.learning.training import Training
from seedbed.methods import method
from seedbed.networks.backbones import Trunk
from seedbed.networks.cam_network import CamNetwork
from seedbed.networks.contracts import ClassifierNetwork, Inherited


@method
class Cam(classifier.NetworkMethod):
    maps: ClassVar[tuple[str, ...]] = ()

    backbone: Trunk
    pooled_above: Bound  # share of a channel's highest value above which its values are averaged (Bae et al., 2020); none: all are
    augmentation: Augmentation
    training: Training
    descent: Descent

    def network(self, num_classes: int) -> CamNetwork:
        return CamNetwork(self.backbone.build(), num_classes, pooled_above=self.pooled_above)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[ClassifierNetwork, Batch]:
        network = CamNetwork(self.backbone.initialise(start={}), num_classes, pooled_above=self.pooled_above)
        return CamLearner(network, self.descent)


class CamLearner(Learner[ClassifierNetwork, Batch]):
    """Binary cross-entropy of every class."""

    network: CamNetwork

    def __init__(self, network: CamNetwork, descent: Descent) -> None:
        super().__init__()
        self.network = network
        self._descent = descent

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        _, logits_BK = self.network(batch.images_BCYX)
        return {"classes": functional.binary_cross_entropy_with_logits(logits_BK, batch.labels_BK[:, 1:])}

    def optimizers(self) -> list[Scheduled]:
        return [self._descent.schedule(self.network.backbone, self.network.head)]
