"""A classifier that learns from the mean of its class maps by a temperature, and whose maps are to stay as its teacher's are.

How much a place counts in the score of a class is a softmax over places. A low temperature lets few places count, and so sharpens class
maps; a high one lets all count alike, as the plain classifier does, and so widens them. The teacher is the running mean of the student.
Both leave out features of every stage at random, the student more, and the more the surer it is of the classes; where they see a class
must be the same all the same.

Paper: Peng et al., "USAGE: A Unified Seed Area Generation Paradigm for Weakly Supervised Semantic Segmentation", ICCV 2023.

Differs from the paper: we have its abstract, a summary and its overview figure, no formulas and no code. Known of it are the two losses,
a temperature that is large for convolutional networks and small for transformers, the running-mean teacher, that layers of both leave
out a part, the student's larger, and that learning status sets how much. Inferred is all else, and each choice is a parameter where it
could be one: the form of the pooling, the loss of classes, what the distributions are compared by and its weight, the teacher's momentum
and temperature, what is left out behind which layers, and status, which is here the running mean of the probability of classes that
images contain: from 0.5, where nothing is left out, to 1. The teacher's batch norms use their running statistics. A token for each
class is that of MCTformer (Xu et al., CVPR 2022), on which the paper's code was built; there, tokens are not normalised behind the last
block. Its class maps are those of `cams.attention`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from seedbed import classifier
from seedbed.algorithms.pooling import Temperature, pool, spread
from seedbed.errors import ParamsError
from seedbed.learning.augmentation import Augmentation
from seedbed.learning.batches import Batch
from seedbed.learning.footprint import FLOAT, estimate_memory
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Optimiser, Scheduled
from seedbed.learning.running_mean import follow, start_mean
from seedbed.learning.training import Training
from seedbed.methods import method, parameters
from seedbed.networks.backbones import Backbone, Trunk
from seedbed.networks.class_tokens import add_class_tokens, check_attention, sum_attention
from seedbed.networks.contracts import AttentiveNetwork, ClassifierNetwork, Inherited
from seedbed.networks.dropped import Dropped, drop_features

SMALLEST = 1e-8  # difference between the highest and lowest value of a map that is not flat
UNSURE = 0.5  # probability of a class of which nothing is known


@parameters
class Head:
    """The convolution that makes class maps of features."""

    kernel: Literal[1, 3]  # its edge; 1 for convolutional networks, 3 in MCTformer
    bias: bool  # whether it adds an offset


@parameters
class Adjustment:
    """What student and teacher leave out."""

    what: Dropped  # inferred; whole channels of an image, or single values, behind every stage of a network or block of a transformer
    largest: Annotated[float, Field(ge=0, lt=1)]  # inferred; share that the student leaves out at most; 0: none is left out
    teacher_share: Annotated[float, Field(ge=0, lt=1)]  # inferred; the teacher's share, relative to the student's
    by_status: bool  # whether the learning status sets the share; else it is the largest from the first step on
    status_momentum: Annotated[float, Field(ge=0, lt=1)]  # inferred; share of the status that a step keeps


@method
class Usage(classifier.NetworkMethod):
    maps: ClassVar[tuple[str, ...]] = ()

    backbone: Trunk
    head: Head
    class_tokens: bool  # whether a transformer has a token for each class, from which it learns as well (MCTformer)
    temperature: Temperature  # paper: tau_1; of the pooling; infinite: the plain mean
    consistency: Annotated[float, Field(ge=0, le=1e6)]  # inferred; weight of the distance from the teacher; 0: there is no teacher
    distance: Literal["kl", "cross_entropy", "absolute", "squares"]  # inferred; between where the two see a class, summed over places
    teacher_temperature: Annotated[float, Field(gt=0, le=1e6)]  # inferred; of where the teacher sees it; the student's is 1
    teacher_momentum: Annotated[float, Field(ge=0, le=1)]  # inferred; share of the teacher that a step keeps
    kept: Literal["student", "teacher"]  # inferred; which of the two makes class maps
    adjustment: Adjustment
    augmentation: Augmentation
    training: Training
    optimiser: Optimiser

    @model_validator(mode="after")
    def _check_kept(self) -> Self:
        if self.kept == "teacher" and not self.consistency:
            raise ValueError("the student to be kept where consistency is 0, which leaves no teacher")
        return self

    def check(self) -> None:
        super().check()
        with torch.device("meta"):
            self.network(1)

    def memory(self, extents: Mapping[str, int]) -> int:
        with torch.device("meta"):
            network = self.network(extents["class"] - 1)
        teacher = bool(self.consistency) * FLOAT * sum(weight.numel() for weight in network.parameters())
        return teacher + estimate_memory(network, self.training, [self.augmentation.crop], moments=self.optimiser.moments)

    def network(self, num_classes: int) -> UsageNetwork:
        return self._build(self.backbone.build(), num_classes)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[ClassifierNetwork, Batch]:
        return UsageLearner(self._build(self.backbone.initialise(start={}), num_classes), self)

    def _build(self, backbone: Backbone, num_classes: int) -> UsageNetwork:
        if self.class_tokens:
            check_attention(backbone.trunk, asked_by="classifier.usage.class_tokens")
            add_class_tokens(backbone.trunk, num_classes)
        return UsageNetwork(backbone, num_classes, self)


class UsageNetwork(AttentiveNetwork):
    """Backbone, then one convolution, whose maps are pooled."""

    def __init__(self, backbone: Backbone, num_classes: int, method: Usage) -> None:
        super().__init__()
        self.backbone = backbone
        edge = method.head.kernel
        self.head = nn.Conv2d(backbone.num_features, num_classes, kernel_size=edge, padding=edge // 2, bias=method.head.bias)
        nn.init.normal_(self.head.weight, std=0.01)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)
        self._num_tokens, self._temperature = num_classes if method.class_tokens else 0, method.temperature

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        maps_BKyx = self.head(self.backbone(images_BCYX))
        return maps_BKyx, self.score(maps_BKyx)

    def learn(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor | None]:
        """Score maps (B, K, y, x), and logits (B, K) of the tokens of classes, if there are any."""
        if not self._num_tokens:
            return self.head(self.backbone(images_BCYX)), None
        features_BDyx, tokens_BND = self.backbone.tokens(images_BCYX)
        return self.head(features_BDyx), tokens_BND[:, : self._num_tokens].mean(dim=2)

    def score(self, maps_BKyx: Tensor) -> Tensor:
        """Logits (B, K) of score maps."""
        return pool(maps_BKyx.float(), temperature=self._temperature)

    def attend(self, images_BCYX: Tensor, *, class_layers: int, patch_layers: int) -> tuple[Tensor, Tensor]:
        trunk = self.backbone.trunk
        check_attention(trunk, asked_by="cams.method")
        if class_layers and not self._num_tokens:
            expected = "0, unless classifier.usage.class_tokens is true"
            raise ParamsError(
                "params.yaml: cams.attention.class_layers", found=str(class_layers), expected=expected, do="correct one of the two"
            )
        with sum_attention(trunk, class_layers, patch_layers) as sums:
            scores_BKyx = self.head(self.backbone(images_BCYX))
        to_classes_BNN, to_patches_BNN = sums
        maps_BKP, first = scores_BKyx.relu().flatten(2), trunk.num_prefix_tokens
        if class_layers:
            maps_BKP = maps_BKP * to_classes_BNN[:, : self._num_tokens, first:]
        if patch_layers:
            maps_BKP = maps_BKP @ to_patches_BNN[:, first:, first:].transpose(1, 2)
        lowest_BK1, highest_BK1 = maps_BKP.amin(dim=2, keepdim=True), maps_BKP.amax(dim=2, keepdim=True)
        maps_BKP = (maps_BKP - lowest_BK1) / (highest_BK1 - lowest_BK1).clamp(min=SMALLEST)
        return maps_BKP.view_as(scores_BKyx), self.score(scores_BKyx)


class UsageLearner(Learner[ClassifierNetwork, Batch]):
    """Student, and the teacher that follows it if its maps are wanted."""

    network: UsageNetwork
    status: Tensor
    sure: Tensor

    def __init__(self, student: UsageNetwork, method: Usage) -> None:
        super().__init__()
        self.method = method
        teacher = start_mean(student) if method.consistency else None
        self.network, self.other = (teacher, student) if teacher is not None and method.kept == "teacher" else (student, teacher)
        self.register_buffer("status", torch.tensor(UNSURE))
        self.register_buffer("sure", torch.zeros(2), persistent=False)  # probabilities of an image's classes: sum and count over a step

    @property
    def student(self) -> UsageNetwork:
        """The network that learns."""
        return self.network if self.method.kept == "student" or self.other is None else self.other

    @property
    def teacher(self) -> UsageNetwork | None:
        """The network that follows it."""
        return self.other if self.method.kept == "student" else self.network

    def train(self, mode: bool = True) -> Self:
        """Switch to training, except the teacher."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        method, labels_BK = self.method, batch.labels_BK[:, 1:]
        with self._adjusted(self.student, 1.0):
            maps_BKyx, tokens_BK = self.student.learn(batch.images_BCYX)
        logits_BK = self.student.score(maps_BKyx)
        terms = {"classes": functional.binary_cross_entropy_with_logits(logits_BK, labels_BK)}
        if tokens_BK is not None:
            terms["tokens"] = functional.binary_cross_entropy_with_logits(tokens_BK.float(), labels_BK)
        if self.teacher is not None:
            with torch.no_grad(), self._adjusted(self.teacher, method.adjustment.teacher_share):
                targets_BKyx, _ = self.teacher.learn(batch.images_BCYX)
            apart_BK = measure_distance(
                maps_BKyx.float(), targets_BKyx.float(), teacher_temperature=method.teacher_temperature, distance=method.distance
            )
            terms["consistency"] = method.consistency * ((apart_BK * labels_BK).sum(dim=1) / labels_BK.sum(dim=1).clamp(min=1)).mean()
        self.sure += torch.stack([(logits_BK.detach().sigmoid() * labels_BK).sum(), labels_BK.sum()])
        return terms

    def after_step(self, progress: float) -> None:
        """Let the teacher follow, and the status."""
        if self.teacher is not None:
            follow(self.teacher, self.student, keep=self.method.teacher_momentum)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.sure)
        total, count = self.sure
        self.status.lerp_(torch.where(count > 0, total / count.clamp(min=1), self.status), 1 - self.method.adjustment.status_momentum)
        self.sure.zero_()

    def measure_batch(self) -> dict[str, Tensor]:
        """The learning status before the step."""
        return {"status": self.status.clone()}

    def optimizers(self) -> list[Scheduled]:
        return [self.method.optimiser.schedule(self.student.backbone, self.student.head)]

    def _adjusted(self, network: UsageNetwork, relative: float) -> AbstractContextManager[None]:
        """While it holds, a network leaves out features.

        relative: share, of what the student leaves out.
        """
        adjustment = self.method.adjustment
        if not adjustment.largest * relative:
            return nullcontext()
        share = adjustment.largest * relative * (measure_progress(self.status) if adjustment.by_status else 1.0)
        return drop_features(network.backbone.trunk, share, what=adjustment.what)


def measure_progress(status: Tensor) -> Tensor:
    """How far a classifier has come, from 0 to 1.

    status: mean probability of the classes that images contain.
    """
    return ((status - UNSURE) / (1 - UNSURE)).clamp(0, 1)


def measure_distance(student_BKyx: Tensor, teacher_BKyx: Tensor, *, teacher_temperature: float, distance: str) -> Tensor:
    """How far apart it is where two networks see each class (B, K)."""
    log_BKN = student_BKyx.flatten(2).log_softmax(dim=2)
    targets_BKN = spread(teacher_BKyx, temperature=teacher_temperature).flatten(2)
    if distance == "absolute":
        return (log_BKN.exp() - targets_BKN).abs().sum(dim=2)
    if distance == "squares":
        return (log_BKN.exp() - targets_BKN).square().sum(dim=2)
    entropy_BK = -(targets_BKN * log_BKN).sum(dim=2)
    return entropy_BK - torch.special.entr(targets_BKN).sum(dim=2) if distance == "kl" else entropy_BK
